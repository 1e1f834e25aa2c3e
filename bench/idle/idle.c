/* Linked to libGL and libX11 and does nothing. With an argument it copies
 * /proc/self/status to its output. */
#include <stdio.h>

int main(int argc, char **argv) {
  (void)argv;
  if (argc == 1) return 0;
  FILE *status = fopen("/proc/self/status", "r");
  if (!status) return 1;
  for (int c; (c = getc(status)) != EOF;) putchar(c);
  return fclose(status);
}
