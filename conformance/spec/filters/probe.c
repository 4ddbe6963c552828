// A program for containers with seccomp filters, and an agent that answers for
// them.
//
//   probe try CALL…             makes each call in a process of its own: a line each
//   probe once CALL             makes it with nothing but write(2) and exit_group(2) after it
//   probe agent FILE HOW [N]    on the socket at descriptor 0: writes what it is told to FILE,
//                               then answers each notification as HOW says
//
// CALL is NUMBER[,ARG]…, with x86: in front for int 0x80.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long make(const char *text)
{
	unsigned long a[7] = {0};
	int x86 = !strncmp(text, "x86:", 4);
	char *at = (char *)text + (x86 ? 4 : 0);
	for (int i = 0; i < 7 && *at; i++) {
		a[i] = strtoul(at, &at, 0);
		at += *at == ',';
	}
	long ret;
#ifdef __x86_64__
	if (x86) {
		int low;
		__asm__ volatile("int $0x80" : "=a"(low) : "a"(a[0]), "b"(a[1]), "c"(a[2]), "d"(a[3]) : "memory", "r8", "r9", "r10", "r11");
		return low;
	}
#endif
	ret = syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	return ret == -1 ? -errno : ret;
}

static void try_one(const char *text)
{
	int pipe_fds[2], status;
	if (pipe(pipe_fds)) exit(3);
	pid_t child = fork();
	if (child < 0) exit(3);
	if (!child) {
		long ret = make(text);
		if (write(pipe_fds[1], &ret, sizeof ret) != sizeof ret) _exit(4);
		_exit(0);
	}
	close(pipe_fds[1]);
	long ret;
	ssize_t got = read(pipe_fds[0], &ret, sizeof ret);
	waitpid(child, &status, 0);
	if (got == sizeof ret)
		printf("%ld\n", ret);
	else
		printf("signal %d\n", WTERMSIG(status));
	close(pipe_fds[0]);
}

static void once(const char *text)
{
	long ret = make(text);
	char line[24];
	int at = sizeof line;
	unsigned long positive = ret < 0 ? -(unsigned long)ret : (unsigned long)ret;
	line[--at] = '\n';
	do line[--at] = '0' + positive % 10; while (positive /= 10);
	if (ret < 0) line[--at] = '-';
	syscall(SYS_write, 1, line + at, sizeof line - at);
	syscall(SYS_exit_group, 0);
}

static int take(int connection, const char *file)
{
	static char text[65536];
	char control[CMSG_SPACE(sizeof(int) * 4)];
	struct iovec part = {text, sizeof text};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	ssize_t got = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	if (got <= 0 || !header || header->cmsg_len != CMSG_LEN(sizeof(int))) exit(5);
	int listener, more, fd;
	memcpy(&listener, CMSG_DATA(header), sizeof listener);
	// The end of the stream must follow: one state for each connection.
	for (; (more = read(connection, text + got, sizeof text - got)) > 0; got += more);
	fd = open(file, O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (write(fd, text, got) != got || write(fd, "\n", 1) != 1) exit(6);
	close(fd);
	return listener;
}

static void answer(int listener, const char *how, long number)
{
	struct seccomp_notif asked = {0};
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked)) return;
	if (!strcmp(how, "die")) exit(0);
	struct seccomp_notif_resp said = {.id = asked.id};
	if (!strcmp(how, "value")) said.val = number;
	if (!strcmp(how, "error")) said.error = -number;
	if (!strcmp(how, "continue")) said.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	if (!strcmp(how, "descriptor")) {
		int fds[2];
		if (pipe(fds) || write(fds[1], "added", 5) != 5) exit(7);
		struct seccomp_notif_addfd add = {.id = asked.id, .srcfd = fds[0]};
		said.val = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
		close(fds[0]), close(fds[1]);
	}
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &said);
}

static void serve(int listener, const char *how, long number)
{
	// POLLHUP, without POLLIN: nobody is under the filter any more.
	struct pollfd asks = {.fd = listener, .events = POLLIN};
	while (poll(&asks, 1, -1) == 1 && (asks.revents & POLLIN)) answer(listener, how, number);
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "once")) once(argv[2]);
	if (argc > 2 && !strcmp(argv[1], "try")) {
		for (int i = 2; i < argc; i++) {
			try_one(argv[i]);
			fflush(stdout);
		}
		return 0;
	}
	if (argc < 4 || strcmp(argv[1], "agent")) return 2;
	alarm(60);
	if (!strcmp(argv[3], "deaf")) return close(accept(0, NULL, NULL));
	for (;;) {
		int connection = accept4(0, NULL, NULL, SOCK_CLOEXEC);
		int listener = take(connection, argv[2]);
		close(connection);
		if (!fork()) {
			alarm(60);
			serve(listener, argv[3], argc > 4 ? atol(argv[4]) : 0);
			return 0;
		}
		close(listener);
	}
}
