/* steps FILE PROGRAM ARG…: which instructions of PROGRAM it runs, and the processes that it makes until they execute
 * another: their addresses in the executable, one a line. hack/often uses it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 8 << 20 };
static char seen[SIZE];

/* Where the executable begins in memory: the first line that names it. */
static unsigned long base_of(pid_t pid, const char *program)
{
    char path[64], line[4096];
    unsigned long base = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "r");
    while (maps && !base && fgets(line, sizeof line, maps))
        if (strstr(line, program))
            base = strtoul(line, NULL, 16);
    if (maps)
        fclose(maps);
    return base;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    pid_t first = fork();
    if (first == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(argv[2], argv + 2);
        _exit(127);
    }
    int status;
    waitpid(first, &status, 0);
    unsigned long base = base_of(first, argv[2]);
    long options = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
    ptrace(PTRACE_SETOPTIONS, first, 0, options);
    ptrace(PTRACE_SINGLESTEP, first, 0, 0);
    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0 || (pid == first && (WIFEXITED(status) || WIFSIGNALED(status))))
            break;
        if (!WIFSTOPPED(status))
            continue;
        int signal = WSTOPSIG(status), event = status >> 16;
        if (event == PTRACE_EVENT_EXEC) {
            ptrace(PTRACE_DETACH, pid, 0, 0);
            continue;
        }
        struct user_regs_struct registers;
        ptrace(PTRACE_GETREGS, pid, 0, &registers);
        if (registers.rip - base < SIZE)
            seen[registers.rip - base] = 1;
        ptrace(PTRACE_SINGLESTEP, pid, 0, signal == SIGTRAP || signal == SIGSTOP || event ? 0 : signal);
    }
    FILE *out = fopen(argv[1], "w");
    for (long at = 0; out && at < SIZE; at++)
        if (seen[at])
            fprintf(out, "%ld\n", at);
    return out && fclose(out) == 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
