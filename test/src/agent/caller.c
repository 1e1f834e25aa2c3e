// Runs machine code from a file, at a fixed address, and holds it to what every caller takes for granted: the
// registers that a callee keeps, the stack, errno, open descriptors. What the code calls in its turn is here too, at
// addresses that the linker has fixed, and tells what it was given.
//
//   caller CODE PAGES COMMAND ENTRY …
//
// ENTRY is an offset into CODE; PAGES is empty, or the file that a server has mapped, with the address: "ADDRESS FILE".

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASE ((char *)0x10000000)

typedef long Function(long, long, long, long, long, long);

void lost(const char *what)
{
    printf("lost: %s\n", what);
    _exit(1);
}

/** Six arguments in registers, two on the stack. */
enum { ARGUMENTS = 8 };

// long guarded(Function *, const long arguments[ARGUMENTS])
asm(".text\n"
    ".globl guarded, guarded_return\n"
    "guarded:\n"
    "  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15; push %rdi\n"
    "  mov %rdi,%r11; mov %rsi,%rax\n"
    "  mov (%rax),%rdi; mov 8(%rax),%rsi; mov 16(%rax),%rdx; mov 24(%rax),%rcx; mov 32(%rax),%r8; mov 40(%rax),%r9\n"
    "  movabs $0x1111111111111111,%rbx; movabs $0x2222222222222222,%rbp; movabs $0x3333333333333333,%r12\n"
    "  movabs $0x4444444444444444,%r13; movabs $0x5555555555555555,%r14; movabs $0x6666666666666666,%r15\n"
    "  sub %fs:guarded_skew@tpoff,%rsp\n"
    "  push 56(%rax); push 48(%rax)\n"
    "  mov %rsp,%fs:guarded_stack@tpoff\n"
    "  call *%r11\n"
    "guarded_return:\n"
    "  cmp %rsp,%fs:guarded_stack@tpoff; jne 1f\n"
    "  add $16,%rsp; add %fs:guarded_skew@tpoff,%rsp\n"
    "  movabs $0x1111111111111111,%rcx; cmp %rcx,%rbx; jne 2f\n"
    "  movabs $0x2222222222222222,%rcx; cmp %rcx,%rbp; jne 2f\n"
    "  movabs $0x3333333333333333,%rcx; cmp %rcx,%r12; jne 2f\n"
    "  movabs $0x4444444444444444,%rcx; cmp %rcx,%r13; jne 2f\n"
    "  movabs $0x5555555555555555,%rcx; cmp %rcx,%r14; jne 2f\n"
    "  movabs $0x6666666666666666,%rcx; cmp %rcx,%r15; jne 2f\n"
    "  add $8,%rsp; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
    "  ret\n"
    "1: mov %fs:guarded_stack@tpoff,%rsp; lea 3f(%rip),%rdi; call lost\n"
    "2: lea 4f(%rip),%rdi; call lost\n"
    "3: .asciz \"the stack pointer\"\n"
    "4: .asciz \"a register\"\n");
long guarded(Function *, const long arguments[ARGUMENTS]);
extern char guarded_return[];
__thread long guarded_stack, guarded_skew;

static long call(long entry, const long arguments[ARGUMENTS])
{
    int before = dup(0);
    if (before >= 0) close(before);
    errno = 4711;
    long result = guarded((Function *)(BASE + entry), arguments);
    if (errno != 4711) lost("errno");
    int after = dup(0);
    if (after != before) lost("a descriptor");
    if (after >= 0) close(after);
    return result;
}

// ---- what the code calls

#define CHECK_STACK() \
    if ((uintptr_t)__builtin_frame_address(0) % 16) lost("the alignment of the stack")
#define CALLER() (__builtin_return_address(0) == guarded_return ? "the caller" : "the agent")

long given_dlopen(const char *file, int mode)
{
    CHECK_STACK();
    printf("dlopen %s %d, from %s\n", file ? file : "NULL", mode, CALLER());
    return 0xd1;
}

long given_dlmopen(long namespace, const char *file, int mode)
{
    CHECK_STACK();
    printf("dlmopen %ld %s %d, from %s\n", namespace, file ? file : "NULL", mode, CALLER());
    return 0xd2;
}

// long given_six(long a, long b, long c, long d, long e, long f)
asm(".globl given_six\n"
    "given_six: test %rax,%rax; je six; lea 1f(%rip),%rdi; call lost\n"
    "1: .asciz \"the count of vector registers\"\n");
__attribute__((used)) long six(long a, long b, long c, long d, long e, long f)
{
    CHECK_STACK();
    printf("six %lx %lx %lx %lx %lx %lx, from %s\n", a, b, c, d, e, f, CALLER());
    // whatever a callee may overwrite
    asm volatile("mov $-1,%%rcx; mov $-1,%%rdx; mov $-1,%%rsi; mov $-1,%%rdi; mov $-1,%%r8\n"
                 "mov $-1,%%r9; mov $-1,%%r10; mov $-1,%%r11" ::
                     : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11");
    return a * 1000000000000 + f;
}

/** One with arguments on the stack, as execl has. */
long given_eight(long a, long b, long c, long d, long e, long f, long g, long h)
{
    CHECK_STACK();
    printf("eight %lx %lx %lx %lx %lx %lx %lx %lx, from %s\n", a, b, c, d, e, f, g, h, CALLER());
    return 0xd8;
}

/** Asks once more, as a constructor in dlopen does. */
long given_asking(long entry, const char *file)
{
    CHECK_STACK();
    long arguments[ARGUMENTS] = {(long)file, 2};
    long outer = guarded_stack;
    printf("asking for %s\n", file);
    long result = guarded((Function *)(BASE + entry), arguments);
    guarded_stack = outer;
    printf("answered %lx\n", result);
    return result + 1;
}

/** Reads and writes what is lent to it. */
long given_exchange(char *text)
{
    CHECK_STACK();
    printf("%s\n", text);
    for (char *at = text; *at; at++) *at ^= 'a' ^ 'A';
    return 0;
}

char *given_getenv(const char *name)
{
    CHECK_STACK();
    return getenv(name);
}

/** As for a setuid program. */
char *given_nothing(const char *name)
{
    (void)name;
    CHECK_STACK();
    return NULL;
}

int given_main(int argc, char **argv, char **envp)
{
    CHECK_STACK();
    if (*(long *)__builtin_frame_address(0) != 0) lost("the outermost frame");
    if (__builtin_ia32_stmxcsr() != 0x1f80) lost("the floating-point state that a process starts with");
    printf("main %d", argc);
    for (int i = 0; i <= argc; i++) printf(" %s", argv[i] ? argv[i] : "NULL");
    printf(", environment %s\n", envp[0]);
    return 7;
}

static int given_number = 14;

int *given_errno(void)
{
    return &given_number;
}

void given_exit(int code)
{
    CHECK_STACK();
    printf("exit %d\n", code);
    exit(0);
}

static char *later[] = {"LATER=1", NULL};
char **given_environment;

char given_memory[8192] __attribute__((aligned(4096)));

/** What is public of glibc's. */
struct link_map {
    long l_addr;
    char *l_name;
    long (*l_ld)[2];
    struct link_map *l_next, *l_prev;
};

/** As in ld.so: the first object, and how many there are; how many namespaces there are, and who may change that. */
struct {
    struct link_map *loaded;
    unsigned count;
} given_first = {(struct link_map *)given_memory, 0};
long given_count = 3;
long given_mutex;
/** DT_FINI of the first object that ld.so comes to, if it has one. */
long given_fini;

static void tell_objects(const char *when)
{
    printf("%s: %ld namespaces, ", when, given_count);
    struct link_map *last = NULL;
    unsigned count = 0;
    for (struct link_map *object = given_first.loaded; object; last = object, object = object->l_next, count++) {
        printf(" %s", object->l_name);
        if (object->l_prev != last) lost("a link to the object before");
    }
    printf("\n");
    if (count != given_first.count) lost("how many objects there are");
}

/** Not locked twice: ld.so's own is recursive. */
void given_locking(long *mutex)
{
    CHECK_STACK();
    if (mutex != &given_mutex || (*mutex)++) lost("the lock");
}

void given_unlocking(long *mutex)
{
    CHECK_STACK();
    if (mutex != &given_mutex || --*mutex) lost("the lock");
}

/** ld.so's: makes its list, and then runs the destructors of each. */
void given_finalizer(void)
{
    CHECK_STACK();
    tell_objects(given_mutex ? "listed, locked" : "listed");
    if (given_fini) {
        long outer = guarded_stack;
        guarded((Function *)given_fini, (long[ARGUMENTS]){0});
        guarded_stack = outer;
        tell_objects(given_mutex ? "finished, locked" : "finished");
    }
}

void given_close_all(void)
{
    CHECK_STACK();
    printf("all closed\n");
}

// ----

static long entry;

static void on_signal(int number)
{
    static char line[] = "signal 0\n";
    if (number != SIGUSR1) return;
    line[7]++;
    if (write(1, line, 9) != 9) abort();
}

static void *ask(void *index)
{
    long arguments[ARGUMENTS] = {(long)"libthread.so", (long)index};
    return (void *)guarded((Function *)(BASE + entry), arguments);
}

/** Asks from so many threads at once. */
static void ask_in_threads(int count)
{
    pthread_t threads[count];
    for (long i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, ask, (void *)i)) abort();
    for (int i = 0; i < count; i++) {
        void *result;
        pthread_join(threads[i], &result);
        printf("thread %d: result %lx\n", i, (long)result);
    }
}

/** Nothing is open but what is printed to, and nothing can be opened. */
static void close_descriptors(void)
{
    close(0);
    close_range(2, ~0U, 0);
    if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, 0})) abort();
}

/** Interrupts this process a hundred times a second. */
static void start_timer(void)
{
    struct itimerval often = {{0, 10000}, {0, 10000}};
    if (setitimer(ITIMER_REAL, &often, NULL)) abort();
}

static void map_pages(const char *pages)
{
    char *path;
    void *address = (void *)strtol(pages, &path, 0);
    struct stat stat;
    int file = open(path + 1, O_RDWR);
    if (file < 0 || fstat(file, &stat)) abort();
    void *at = mmap(address, stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0);
    if (at != address) abort();
    close(file);
}

static long number(const char *text)
{
    return strtol(text, NULL, 0);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    struct sigaction action = {.sa_handler = on_signal}; // without SA_RESTART
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    given_environment = later;

    int file = open(argv[1], O_RDONLY);
    char *code = mmap(BASE, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (code != BASE || read(file, code, 1 << 20) <= 0) return 2;
    close(file);

    if (argv[2][0]) map_pages(argv[2]);
    const char *command = argv[3];
    entry = number(argv[4]);
    char **rest = argv + 5;
    int count = argc - 5;

    // "exit" and "forked exit" have this process's own ID put in, at an offset, and so many bytes of the code are data
    // for given_memory; then, DT_FINI of the first object
    if (strstr(command, "exit")) {
        *(long *)(BASE + number(rest[0])) = getpid();
        memcpy(given_memory, BASE, number(rest[1]));
        for (struct link_map *object = given_first.loaded; object; object = object->l_next) given_first.count++;
        if (number(rest[2])) given_fini = (long)BASE + number(rest[2]);
    }
    mprotect(code, 1 << 20, PROT_READ | PROT_EXEC);

    if (strstr(command, "call")) {
        // some old code does not align the stack
        if (strstr(command, "unaligned")) guarded_skew = 8;
        if (strstr(command, "without descriptors")) close_descriptors();
        if (strstr(command, "with a timer")) start_timer();
        int times = strstr(command, "repeated") ? number(*rest++) : 1;
        long arguments[ARGUMENTS] = {0};
        for (int i = 0; rest[i]; i++) arguments[i] = rest[i][0] == '@' ? (long)(rest[i] + 1) : number(rest[i]);
        if (!strstr(command, "forked") || fork() == 0)
            for (int i = 0; i < times; i++) printf("result %lx\n", call(entry, arguments));
        else {
            int status;
            wait(&status);
            return status != 0;
        }
    } else if (!strcmp(command, "threads")) {
        ask_in_threads(number(rest[0]));
    } else if (!strcmp(command, "getenv")) {
        for (int i = 0; i < count; i++) {
            long arguments[ARGUMENTS] = {(long)rest[i]};
            const char *value = (const char *)call(entry, arguments);
            printf("%s %s\n", rest[i], value ? value : "NULL");
        }
    } else if (!strcmp(command, "start")) {
        const long arguments[ARGUMENTS] = {(long)given_main};
        __builtin_ia32_ldmxcsr(0x7fbf); // as another mode and every flag
        call(entry, arguments);
    } else if (!strcmp(command, "exit")) {
        int times = number(rest[3]);
        for (int i = 0; i < times; i++) call(entry, (long[ARGUMENTS]){0});
        tell_objects("ld.so");
    } else if (!strcmp(command, "forked exit")) {
        if (fork() == 0) {
            call(entry, (long[ARGUMENTS]){0});
            _exit(0);
        }
        wait(NULL);
    } else return 2;
    return 0;
}
