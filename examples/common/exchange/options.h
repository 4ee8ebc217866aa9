/* Command-line options as tables: one table drives parsing, --help and the settings text that all peers must share. */
#ifndef EXAMPLES_OPTIONS_H
#define EXAMPLES_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dtcodec.h"
#include "error.h"
#include "net_plan.h"

/* What an option's value is, and the type of its field. */
enum option_kind {
    OPTION_TEXT,   /* const char * */
    OPTION_COUNT,  /* uint64_t, within least..most */
    OPTION_REAL,   /* double, within least..most */
    OPTION_FLAG,   /* bool; takes no value */
    OPTION_CHOICE, /* int: which of the choices, as in "gradients|parameters" */
    OPTION_CODEC,  /* dtc_spec */
    OPTION_NET     /* struct net_plan */
};

struct option {
    const char *name; /* without the dashes */
    enum option_kind kind;
    size_t field;   /* offsetof its value in the settings */
    unsigned roles; /* bits of those that take it */
    bool shared;    /* must be equal on all peers and in a checkpoint */
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

/* What all trainers take. */
struct trainer_settings {
    int dataset;      /* 0: fashion-mnist, 1: mnist */
    const char *data; /* NULL: trainer_data_dir tells the default */
    uint64_t limit;   /* training samples, 0: all */
    struct net_plan net;
    int activation; /* enum activation */
    dtc_spec codec, down_codec;
    int exchange; /* enum exchange */
    uint64_t every;
    bool center, residual, add_packets;
    uint64_t workers, epochs, batch, seed;
    double rate, rate_decay, momentum;
    const char *metrics, *save, *resume;
};

enum exchange { EXCHANGE_GRADIENTS, EXCHANGE_PARAMETERS };

/* Who may take an option: a server, one of its workers, a program that is both, or a worker among equals; a peer that
 * gossips, or a program that is all of them. */
enum {
    ROLE_SERVER = 1,
    ROLE_WORKER = 2,
    ROLE_LOCAL = 4,
    ROLE_SERVED = 7,
    ROLE_PEER = 8,
    ROLE_SYNCHRONOUS = 15,
    ROLE_GOSSIP = 16,
    ROLE_GOSSIP_LOCAL = 32,
    ROLE_ANY = 63
};

/* Defaults of struct trainer_settings, and its options. */
void trainer_defaults(struct trainer_settings *settings);
struct option_table trainer_options(struct trainer_settings *settings);

/* Checks what no single option can; errors name the flags. */
bool trainer_check(const struct trainer_settings *settings, struct error *error);

/* The directory of --data, or the dataset's default. */
const char *trainer_data_dir(const struct trainer_settings *settings);

/* Reads argv[0..argc) into the settings of the tables, for one role. Flags are --name value or --name=value. */
bool options_parse(const struct option_table *tables, size_t table_count, unsigned role, int argc, char **argv,
                   struct error *error);

/* Whether --help is among the arguments. */
bool options_want_help(int argc, char **argv);

/* Prints each option of these roles with its meaning and the value it has in the settings. */
void options_help(const struct option_table *tables, size_t table_count, unsigned roles);

/* Writes the shared options as the command line that gives them, such as "--batch 64 --lr 0.1": equal texts, equal
 * settings. 1536 bytes are enough. */
void options_shared_text(const struct option_table *tables, size_t table_count, char *text, size_t capacity);

/* Finds the first option in which two such texts differ; "" and "" if they do not. */
void options_difference(const char *a, const char *b, char a_option[256], char b_option[256]);

#endif
