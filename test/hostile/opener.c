/* Opens files with dlopen(3) in processes that they may kill. Usage: opener lazy|now
   It reads a path a line, and writes a line a file: "opened", what dlerror(3) says, or "killed: " and how. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/* Descriptors that a library's own code does not close by chance. */
enum { OUT = 900, SAYS = 901 };

/* The name of the mapping that has an address, and the distance from its start; "nowhere" if it is not executable. */
static void place(unsigned long address, char *to, size_t size) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512];
  snprintf(to, size, "nowhere");
  while (maps && fgets(line, sizeof line, maps)) {
    unsigned long start, end, offset;
    char flags[8] = "", file[400] = "";
    if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %399s", &start, &end, flags, &offset, file) < 4) continue;
    if (address < start || address >= end || flags[2] != 'x') continue;
    char *base = strrchr(file, '/');
    snprintf(to, size, "%s+%#lx", base ? base + 1 : file[0] ? file : "anonymous", address - start + offset);
  }
  if (maps) fclose(maps);
}

/* Only one file is to be opened: say what happens to it. */
static int alone;

static void died(int signal, siginfo_t *info, void *context) {
  const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  char at[500], caller[500] = "";
  if (!alone) _exit(77);
  place(registers[REG_RIP], at, sizeof at);
  /* A call of what is no code has left its return address on the stack. */
  if (!strcmp(at, "nowhere")) place(*(unsigned long *)registers[REG_RSP], caller, sizeof caller);
  dprintf(OUT, "killed: signal %d in %s%s%s, address %p\n", signal, at, *caller ? " called by " : "", caller, info->si_addr);
  _exit(77);
}

static void prepare(void) {
  struct rlimit cpu = { 2, 4 }, none = { 0, 0 }, small = { 1 << 20, 1 << 20 };
  static char stack[1 << 16];
  stack_t other = { .ss_sp = stack, .ss_size = sizeof stack };
  struct sigaction action = { .sa_sigaction = died, .sa_flags = SA_SIGINFO | SA_ONSTACK };
  const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGXCPU, SIGALRM };
  int null = open("/dev/null", O_RDWR);
  dup2(null, 0);
  dup2(null, 1);
  dup2(SAYS, 2);
  if (alone) setrlimit(RLIMIT_CPU, &cpu);
  setrlimit(RLIMIT_CORE, &none);
  setrlimit(RLIMIT_FSIZE, &small);
  sigaltstack(&other, 0);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, 0);
}

static void open_it(const char *path, int mode) {
  alarm(alone ? 30 : 5);
  void *opened = dlopen(path, mode);
  if (!opened) {
    char says[300];
    snprintf(says, sizeof says, "%s", dlerror());
    /* It may quote any byte of the file. */
    for (char *at = says; *at; at++)
      if (*at == '\n') *at = ' ';
    dprintf(OUT, "%s\n", says);
    return;
  }
  dlsym(opened, "blue");
  dlsym(opened, "there is no such symbol");
  dlclose(opened);
  dprintf(OUT, "opened\n");
}

/* Forks a process that opens files from the index on, and returns its status. */
static int run(char **paths, int count, volatile int *index, int mode) {
  int status = 0;
  ftruncate(SAYS, 0);
  lseek(SAYS, 0, SEEK_SET);
  pid_t child = fork();
  if (child == 0) {
    prepare();
    for (; *index < count; ++*index) open_it(paths[*index], mode);
    _exit(0);
  }
  waitpid(child, &status, 0);
  return status;
}

int main(int argc, char **argv) {
  static char path[4096], says[300];
  int mode = argc > 1 && !strcmp(argv[1], "lazy") ? RTLD_LAZY : RTLD_NOW, count = 0;
  char **paths = 0;
  volatile int *index = mmap(0, sizeof *index, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  dup2(1, OUT);
  dup2(fileno(tmpfile()), SAYS);
  while (fgets(path, sizeof path, stdin)) {
    path[strcspn(path, "\n")] = 0;
    paths = realloc(paths, (count + 1) * sizeof *paths);
    paths[count++] = strdup(path);
  }
  /* Many in one process, as that is fast; a process that dies may have been damaged by an earlier file. */
  while (*index < count) {
    alone = 0;
    if (run(paths, count, index, mode) == 0) break;
    alone = 1;
    int status = run(paths, *index + 1, index, mode);
    if (status == 0) continue;
    ++*index;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) continue;
    ssize_t length = pread(SAYS, says, sizeof says - 1, 0);
    says[length > 0 ? length : 0] = 0;
    says[strcspn(says, "\n")] = 0;
    dprintf(OUT, "killed: status %#x %s\n", status, says);
  }
  return 0;
}
