/* Counts the pictures that a game shows. For swaps.ts:
 *
 *   cc -shared -fPIC -o count-swaps.so count-swaps.c */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

typedef void SwapBuffers(void *display, unsigned long drawable);

void glXSwapBuffers(void *display, unsigned long drawable) {
  static SwapBuffers *next;
  static unsigned long count;
  if (!next) next = (SwapBuffers *)dlsym(RTLD_NEXT, "glXSwapBuffers");
  next(display, drawable);
  if (++count % 50 == 0) fprintf(stderr, "pictures: %lu\n", count);
}
