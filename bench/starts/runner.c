/* usage: runner COUNT PATHS PROGRAM [ARGUMENT...]
 * Starts a program that often, each when the one before has ended, and prints how
 * long each took, in milliseconds, a line each. PATHS is "kept", or "none" for an
 * environment without LD_LIBRARY_PATH. Then it stays until its input ends. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  if (!strcmp(argv[2], "none")) unsetenv("LD_LIBRARY_PATH");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  for (int i = 0; i < atoi(argv[1]); i++) {
    pid_t child;
    int status;
    double start = now();
    if (posix_spawnp(&child, argv[3], &actions, NULL, argv + 3, environ)) return 1;
    if (waitpid(child, &status, 0) != child || status) return 1;
    printf("%.3f\n", now() - start);
  }
  fflush(stdout);
  for (char byte; read(0, &byte, 1) > 0;) continue;
  return 0;
}
