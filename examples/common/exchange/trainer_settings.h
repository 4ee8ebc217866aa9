/* The settings and options that all trainers have. */
#ifndef EXAMPLES_TRAINER_SETTINGS_H
#define EXAMPLES_TRAINER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "../error.h"
#include "../net/net_plan.h"
#include "dtcodec.h"
#include "options.h"

enum dataset { DATASET_FASHION_MNIST, DATASET_MNIST, DATASET_CIFAR10 };
enum exchange { EXCHANGE_GRADIENTS, EXCHANGE_PARAMETERS, EXCHANGE_CHANGES };

struct trainer_settings {
    int dataset;      /* enum dataset */
    const char *data; /* directory; NULL: the default of trainer_data_dir */
    uint64_t limit;   /* training samples; 0: all */
    struct net_plan net;
    int activation; /* enum activation */
    dtc_spec codec, down_codec;
    int exchange;   /* enum exchange */
    uint64_t every; /* epochs between two exchanges of parameters or changes */
    uint64_t shift; /* most pixels that a training image moves */
    bool center, flip, residual, add_packets;
    uint64_t workers, epochs, batch, seed;
    double rate, rate_decay, momentum, l1;
    const char *metrics, *save, *resume; /* files; NULL: none */
};

/* The roles of a process. */
enum {
    ROLE_SERVER = 1,
    ROLE_WORKER = 2,        /* of a server */
    ROLE_LOCAL = 4,         /* a server and all its workers */
    ROLE_SERVED = 7,        /* any of these three */
    ROLE_PEER = 8,          /* a worker without a server */
    ROLE_SYNCHRONOUS = 15,  /* any of these four */
    ROLE_GOSSIP = 16,       /* a peer that gossips */
    ROLE_GOSSIP_LOCAL = 32, /* all peers that gossip */
    ROLE_ANY = 63
};

/* Sets the defaults. */
void trainer_defaults(struct trainer_settings *settings);

/* Returns the table of the options of these settings. */
struct option_table trainer_options(struct trainer_settings *settings);

/* Checks combinations of options. The error names the options. */
bool trainer_check(const struct trainer_settings *settings, struct error *error);

/* Returns the directory of --data, or the default of the dataset. */
const char *trainer_data_dir(const struct trainer_settings *settings);

#endif
