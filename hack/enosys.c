// enosys SYSCALL[,SYSCALL…] PROGRAM ARG…: runs the program under a seccomp filter that answers ENOSYS for these system calls.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "which AUDIT_ARCH is this?"
#endif

static const struct { const char *name; int number; } syscalls[] = {
#include "names.h"  // {"read", 0}, … of this architecture: hack/enosys writes it
};

static int number_of(const char *name) {
  for (size_t i = 0; i < sizeof syscalls / sizeof *syscalls; i++)
    if (!strcmp(syscalls[i].name, name)) return syscalls[i].number;
  return -1;
}

int main(int count, char **words) {
  if (count < 3) {
    fprintf(stderr, "usage: enosys SYSCALL[,SYSCALL…] PROGRAM ARG…\n");
    return 2;
  }
  struct sock_filter filter[4 + 2 * 64 + 1] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
  };
  unsigned short n = 4;
  for (char *name = strtok(words[1], ","); name; name = strtok(NULL, ",")) {
    int number = number_of(name);
    if (number < 0 || n + 3u > sizeof filter / sizeof *filter) {
      fprintf(stderr, "enosys: %s: no such system call here, or too many\n", name);
      return 2;
    }
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
  }
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

  struct sock_fprog program = {n, filter};
  // Without CAP_SYS_ADMIN the kernel wants no_new_privs; with it the program is to see no other difference.
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 &&
      (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)) {
    perror("enosys: seccomp");
    return 1;
  }
  execvp(words[2], words + 2);
  fprintf(stderr, "enosys: %s: %s\n", words[2], strerror(errno));
  return 127;
}
