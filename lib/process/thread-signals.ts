// Signals that threads of one process send each other.

/**
 * SIGSETXID, by which glibc makes all threads change their user (2.31-2.41): programs do not block it, debuggers pass
 * it on silently, and sigaction(3) rejects it.
 */
export const SIGSETXID = 33;

/** JavaScriptCore stops threads with it to collect garbage concurrently. */
export const SIGPWR = 30;
