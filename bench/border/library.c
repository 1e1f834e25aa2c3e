/* libborder.so.1: the library on the other side of the border. */
#include <dlfcn.h>

int border_next(int i) { return i + 1; }

/* Opens and closes a library that is open, as a library does: by a name. */
int border_reopen(const char *name) {
  void *handle = dlopen(name, RTLD_LAZY);
  return handle ? dlclose(handle) : -1;
}
