/* Measures what single operations take, and prints "operation nanoseconds" a
 * line: of five batches each the one in the middle. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

extern int border_next(int);
extern int border_reopen(const char *);

#define SONAME "libborder.so.1"
#define BATCHES 5

static void fail(const char *what) {
  const char *why = dlerror();
  fprintf(stderr, "%s: %s\n", what, why ? why : "failed");
  exit(1);
}

static void call(int count) {
  int i = 0;
  while (i < count) i = border_next(i);
}

static void *handle;

static void find(int count) {
  for (int i = 0; i < count; i++)
    if (!dlsym(handle, "border_next")) fail("dlsym");
}

static void open_again(int count) {
  for (int i = 0; i < count; i++) {
    void *again = dlopen(SONAME, RTLD_LAZY);
    if (!again || dlclose(again)) fail("dlopen");
  }
}

static void open_again_inside(int count) {
  for (int i = 0; i < count; i++)
    if (border_reopen(SONAME)) fail("dlopen inside");
}

static int order(const void *one, const void *other) {
  double difference = *(const double *)one - *(const double *)other;
  return (difference > 0) - (difference < 0);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e9 + time.tv_nsec;
}

static void measure(const char *operation, void (*repeat)(int), int count) {
  double batches[BATCHES];
  repeat(count / 10 + 1);
  for (int i = 0; i < BATCHES; i++) {
    double started = now();
    repeat(count);
    batches[i] = (now() - started) / count;
  }
  qsort(batches, BATCHES, sizeof *batches, order);
  printf("%s %.3f\n", operation, batches[BATCHES / 2]);
}

int main(void) {
  handle = dlopen(SONAME, RTLD_LAZY);
  if (!handle) fail("dlopen");
  measure("call", call, 10000000);
  measure("dlsym", find, 200000);
  measure("open-again", open_again, 20000);
  measure("open-again-inside", open_again_inside, 200);
  return 0;
}
