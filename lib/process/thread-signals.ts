// Signals that threads of one process send each other.

/**
 * SIGSETXID, by which glibc has all threads change their user (2.31-2.41): nobody blocks it, debuggers pass it on
 * without a word, and sigaction(3) does not know it.
 */
export const SIGSETXID = 33;

/** By which JavaScriptCore stops threads to collect garbage concurrently. */
export const SIGPWR = 30;
