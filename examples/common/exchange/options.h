/* Command-line options as tables. One table drives the parser, --help and the settings text (settings_text.h). */
#ifndef EXAMPLES_OPTIONS_H
#define EXAMPLES_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "../error.h"

/* The form of an option's value, and the type of its field. */
enum option_kind {
    OPTION_TEXT,   /* const char * */
    OPTION_COUNT,  /* uint64_t, within least..most */
    OPTION_REAL,   /* double, within least..most */
    OPTION_FLAG,   /* bool; the option takes no value */
    OPTION_CHOICE, /* int, the number of a choice in a list such as "gradients|parameters" */
    OPTION_CODEC,  /* dtc_spec */
    OPTION_NET     /* struct net_plan */
};

struct option {
    const char *name; /* without the dashes */
    enum option_kind kind;
    size_t field;   /* offset of the field in the settings */
    unsigned roles; /* bits of the roles that take the option */
    bool shared;    /* whether the value must be equal in all processes and in a checkpoint */
    double least, most;
    const char *choices;
    const char *help;
};

/* Options whose fields are in one struct at `settings`. */
struct option_table {
    const struct option *option;
    size_t count;
    void *settings;
};

/* Reads argv[0..argc) into the settings of the tables, for one role. An option is --name value or --name=value. */
bool options_parse(const struct option_table *tables, size_t table_count, unsigned role, int argc, char **argv,
                   struct error *error);

/* Returns whether --help is among the arguments. */
bool options_want_help(int argc, char **argv);

/* Prints each option that one of the roles takes, with its meaning and its present value. */
void options_help(const struct option_table *tables, size_t table_count, unsigned roles);

/* Writes the settings text: the shared options as the command line that sets them. A text of SETTINGS_TEXT_BYTES is
 * large enough for any table of the trainers. */
void options_settings_text(const struct option_table *tables, size_t table_count, char *text, size_t capacity);

#endif
