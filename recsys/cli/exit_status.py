"""Exit statuses that are more than success and failure, as shells have them."""

INTERRUPTED = 130  # by Ctrl-C
BROKEN_PIPE = 141  # nobody reads the output any more
