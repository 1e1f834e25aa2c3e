/* Linked to libc alone, and does nothing. */
int main(void) { return 0; }
