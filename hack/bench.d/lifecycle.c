// Times the life of a container under several runtimes in turn, A B C A B C…, so that a drifting machine hurts all alike.
//
//   lifecycle ROUNDS BUNDLE SLEEPER NAME=COMMAND…
//
// BUNDLE's program ends at once, SLEEPER's does not end by itself. COMMAND is a runtime with its global options, separated by spaces.
// It sees what an engine's shim sees: it is the subreaper, so the container's init becomes its child, and it waits for its death.
// A runtime whose name ends in +WORD gets the bundles whose names do.
// A runtime that fails its first life is named and left out; one that has no exec yet shows a dash there.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { CREATE, START, DEATH, DELETE, LIFE, STATE, EXEC, PHASES };
static const char *const phase_name[PHASES] = {"create", "start", "start to death", "delete", "whole life", "state", "exec true"};
enum { WARM_UP = 3, RUNTIMES = 16, WORDS = 24 };

struct runtime {
  char *name, *global[WORDS];
  double *took[PHASES];
  int measured[PHASES];
  long peak_rss, init_rss;
};
static struct runtime runtime[RUNTIMES];
static int runtimes, rounds, errors_fd;
static char pid_file[64], errors_file[64];
static volatile sig_atomic_t stopped;  // by a signal: end the round, leave nothing running

static void stop(int signal) { stopped = signal; }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

// Runs `COMMAND words… NULL`; returns the microseconds, or -1 if it failed. `usage` may be NULL.
static double command(struct runtime *r, struct rusage *usage, ...) {
  char *argv[2 * WORDS];
  int n = 0;
  for (; r->global[n]; n++) argv[n] = r->global[n];
  va_list words;
  va_start(words, usage);
  while ((argv[n++] = va_arg(words, char *))) {}
  va_end(words);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&files, 0, 1);
  posix_spawn_file_actions_adddup2(&files, errors_fd, 2);
  if (ftruncate(errors_fd, 0) < 0) exit(1);
  pid_t pid;
  int status, failed;
  struct rusage unused;
  double begin = now();
  failed = posix_spawn(&pid, argv[0], &files, NULL, argv, environ);
  if (!failed) while (wait4(pid, &status, 0, usage ? usage : &unused) < 0 && errno == EINTR) {}
  double took = now() - begin;
  posix_spawn_file_actions_destroy(&files);
  return failed || !WIFEXITED(status) || WEXITSTATUS(status) ? -1 : took;
}

static const char *last_error(void) {
  static char text[400];
  ssize_t n = pread(errors_fd, text, sizeof text - 1, 0);
  text[n > 0 ? n : 0] = 0;
  text[strcspn(text, "\n")] = 0;
  return text;
}

static pid_t pid_of_init(void) {
  FILE *file = fopen(pid_file, "r");
  int pid = 0;
  if (file) {
    if (fscanf(file, "%d", &pid) != 1) pid = 0;
    fclose(file);
  }
  unlink(pid_file);
  return pid;
}

static long resident(pid_t pid) {
  char path[64], line[256];
  long kib = -1;
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE *file = fopen(path, "r");
  if (!file) return -1;
  while (fgets(line, sizeof line, file)) sscanf(line, "VmRSS: %ld", &kib);
  fclose(file);
  return kib;
}

static const char *bundle_for(struct runtime *r, const char *bundle) {
  static char path[4096];
  const char *suffix = strchr(r->name, '+');
  snprintf(path, sizeof path, "%s%s", bundle, suffix ? suffix : "");
  return path;
}

// One life; returns what failed, or NULL.
static const char *life(struct runtime *r, const char *bundle, const char *id, double took[PHASES]) {
  struct rusage usage = {0};
  if ((took[CREATE] = command(r, &usage, "create", "--bundle", bundle, "--pid-file", pid_file, id, NULL)) < 0) return "create";
  if (usage.ru_maxrss > r->peak_rss) r->peak_rss = usage.ru_maxrss;
  pid_t init = pid_of_init();
  // The least of all rounds: init goes on for a moment after `create` has ended.
  long init_rss = resident(init);
  if (!r->init_rss || init_rss < r->init_rss) r->init_rss = init_rss;
  double begin = now();
  if ((took[START] = command(r, NULL, "start", id, NULL)) < 0) return "start";
  int status;
  pid_t dead;
  while ((dead = waitpid(init, &status, 0)) < 0 && errno == EINTR) {}
  took[DEATH] = now() - begin;
  if (dead != init || !WIFEXITED(status) || WEXITSTATUS(status)) return "its program";
  if ((took[DELETE] = command(r, NULL, "delete", id, NULL)) < 0) return "delete";
  took[LIFE] = took[CREATE] + took[DEATH] + took[DELETE];
  return NULL;
}

static void keep(struct runtime *r, int phase, int round, double took) {
  if (round >= 0) r->took[phase][r->measured[phase]++] = took;
}

static void lives(const char *bundle) {
  for (int round = -WARM_UP; round < rounds && !stopped; round++)
    for (int i = 0; i < runtimes; i++) {
      struct runtime *r = &runtime[i];
      double took[PHASES];
      char id[64];
      snprintf(id, sizeof id, "bench-%d-%s-%d", getpid(), r->name, round + WARM_UP);
      const char *failed = life(r, bundle_for(r, bundle), id, took);
      for (int phase = CREATE; !failed && phase <= LIFE; phase++) keep(r, phase, round, took[phase]);
      if (!failed) continue;
      printf("%s: %s failed: %s\n", r->name, failed, last_error());
      command(r, NULL, "delete", "--force", id, NULL);
      if (round > -WARM_UP) exit(1);
      *r = runtime[--runtimes];
      runtime[runtimes + 1] = (struct runtime){0};
      i--;
    }
}

// state and exec, on one running container for each runtime.
static void visits(const char *sleeper) {
  char id[RUNTIMES][64];
  pid_t init[RUNTIMES];
  int can_exec[RUNTIMES];
  for (int i = 0; i < runtimes; i++) {
    struct runtime *r = &runtime[i];
    snprintf(id[i], sizeof *id, "bench-%d-%s", getpid(), r->name);
    if (command(r, NULL, "create", "--bundle", bundle_for(r, sleeper), "--pid-file", pid_file, id[i], NULL) < 0 || command(r, NULL, "start", id[i], NULL) < 0)
      printf("%s: create and start of the sleeper failed: %s\n", r->name, last_error());
    init[i] = pid_of_init();
    can_exec[i] = command(r, NULL, "exec", id[i], "/bin/true", NULL) >= 0;
    if (!can_exec[i]) printf("%s: no exec: %s\n", r->name, last_error());
  }
  for (int round = -WARM_UP; round < rounds && !stopped; round++)
    for (int i = 0; i < runtimes; i++) {
      double took = command(&runtime[i], NULL, "state", id[i], NULL);
      if (took >= 0) keep(&runtime[i], STATE, round, took);
      if (can_exec[i] && (took = command(&runtime[i], NULL, "exec", id[i], "/bin/true", NULL)) >= 0) keep(&runtime[i], EXEC, round, took);
    }
  for (int i = 0; i < runtimes; i++) {
    command(&runtime[i], NULL, "kill", id[i], "9", NULL);
    if (init[i] > 0) waitpid(init[i], NULL, 0);
    command(&runtime[i], NULL, "delete", "--force", id[i], NULL);
  }
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(struct runtime *r, int phase) { return r->took[phase][r->measured[phase] / 2]; }
static double minimum(struct runtime *r, int phase) { return r->took[phase][0]; }

static void print_times(void) {
  printf("%-16s", "us: min/median");
  for (int i = 0; i < runtimes; i++) printf("%16s", runtime[i].name);
  for (int phase = 0; phase < PHASES; phase++) {
    printf("\n%-16s", phase_name[phase]);
    for (int i = 0; i < runtimes; i++) {
      struct runtime *r = &runtime[i];
      qsort(r->took[phase], r->measured[phase], sizeof(double), by_size);
      if (r->measured[phase]) printf("%8.0f/%7.0f", minimum(r, phase), median(r, phase));
      else printf("%16s", "-");
    }
  }
  printf("\n%-16s", "KiB: create peak");
  for (int i = 0; i < runtimes; i++) printf("%16ld", runtime[i].peak_rss);
  printf("\n%-16s", "KiB: init");
  for (int i = 0; i < runtimes; i++) printf("%16ld", runtime[i].init_rss);
  printf("\n");
}

// Minima and medians as multiples of those of one runtime.
static void print_ratios(struct runtime *to) {
  printf("\n%s = 1", to->name);
  for (int i = 0; i < runtimes; i++) printf("%*s", i ? 16 : 28 - (int)strlen(to->name), runtime[i].name);
  for (int phase = 0; phase < PHASES; phase++) {
    printf("\n%-16s", phase_name[phase]);
    for (int i = 0; i < runtimes; i++) {
      struct runtime *r = &runtime[i];
      if (to->measured[phase] && r->measured[phase]) printf("%8.2f/%7.2f", minimum(r, phase) / minimum(to, phase), median(r, phase) / median(to, phase));
      else printf("%16s", "-");
    }
  }
  printf("\n");
}

int main(int count, char **words) {
  if (count < 5 || (rounds = atoi(words[1])) < 1) {
    fprintf(stderr, "usage: lifecycle ROUNDS BUNDLE SLEEPER NAME=COMMAND…\n");
    return 2;
  }
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  snprintf(pid_file, sizeof pid_file, "/tmp/lifecycle-%d.pid", getpid());
  snprintf(errors_file, sizeof errors_file, "/tmp/lifecycle-%d.err", getpid());
  errors_fd = open(errors_file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600);
  unlink(errors_file);
  for (int i = 4; i < count && runtimes < RUNTIMES - 1; i++) {
    struct runtime *r = &runtime[runtimes++];
    int n = 0;
    r->name = strtok(words[i], "=");
    for (char *word; (word = strtok(NULL, " ")) && n < WORDS - 1;) r->global[n++] = word;
    for (int phase = 0; phase < PHASES; phase++) r->took[phase] = calloc(rounds, sizeof(double));
  }
  signal(SIGINT, stop);
  signal(SIGTERM, stop);
  lives(words[2]);
  if (runtimes && !stopped) visits(words[3]);
  if (stopped) return 1;
  print_times();
  for (int i = 0; i < runtimes; i++)
    if (!strncmp(runtime[i].name, "floor", 5) || !strcmp(runtime[i].name, "minke")) print_ratios(&runtime[i]);
  return 0;
}
