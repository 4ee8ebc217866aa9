/* The commands of dtc and what they share: options, exit codes and errors. */
#ifndef DTC_COMMAND_H
#define DTC_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/error.h"
#include "dtcodec.h"

/* Exit codes. */
enum { EXIT_GOOD = 0, EXIT_DATA = 1, EXIT_USAGE = 2 };

/* The values of all options; 0 and NULL: not given. */
struct settings {
    bool json, message, residual, shared_uplink;
    int from; /* enum format */
    const char *like, *specs, *plot;
    uint64_t workers;
    double bits_per_second, compute_seconds; /* --link and --compute */
};

/* Each runs one command with the arguments that are no options, and returns the exit code. */
int inspect_run(const struct settings *settings, char **arguments, int count);
int encode_run(const struct settings *settings, char **arguments, int count);
int decode_run(const struct settings *settings, char **arguments, int count);
int compare_run(const struct settings *settings, char **arguments, int count);
int plan_run(const struct settings *settings, char **arguments, int count);

/* Prints "dtc: FILE: error" on standard error, as one line of printable characters. Returns EXIT_DATA. */
int fail(const char *path, const struct error *error);

/* Prints "dtc: error" on standard error, for a wrong command line. Returns EXIT_USAGE. */
int misuse(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
