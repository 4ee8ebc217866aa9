#include "trainer_settings.h"

#include <stddef.h>
#include <string.h>

static const char *const dataset_dirs[] = {"/usr/share/datasets/fashion-mnist", "build/data/mnist",
                                           "build/data/cifar10"};

#define FIELD(name) offsetof(struct trainer_settings, name)
#define NO_RANGE    0.0, 0.0

static const struct option trainer_option[] = {
    {"dataset", OPTION_CHOICE, FIELD(dataset), ROLE_ANY, true, NO_RANGE, "fashion-mnist|mnist|cifar10",
     "data set to train on"},
    {"data", OPTION_TEXT, FIELD(data), ROLE_ANY, false, NO_RANGE, NULL,
     "directory of the data set's files, where IDX files may be gzipped (default: where `make data` puts them)"},
    {"limit", OPTION_COUNT, FIELD(limit), ROLE_ANY, true, 0, 1e9, NULL,
     "number of training samples, from the first; 0: all"},
    {"center", OPTION_FLAG, FIELD(center), ROLE_ANY, true, NO_RANGE, NULL,
     "subtract the mean of the training images from all images"},
    {"shift", OPTION_COUNT, FIELD(shift), ROLE_ANY, true, 0, 64, NULL,
     "move each training image by up to so many pixels in each direction, at random in every epoch; 0: none"},
    {"flip", OPTION_FLAG, FIELD(flip), ROLE_ANY, true, NO_RANGE, NULL,
     "mirror each training image from left to right, at random in every epoch"},
    {"net", OPTION_NET, FIELD(net), ROLE_ANY, true, NO_RANGE, NULL,
     "inputs, layers (units, conv5x12, pool2 or circulant512, for example) and classes, joined by dashes"},
    {"activation", OPTION_CHOICE, FIELD(activation), ROLE_ANY, true, NO_RANGE, "relu|tanh",
     "activation between the layers"},
    {"codec", OPTION_CODEC, FIELD(codec), ROLE_ANY, true, NO_RANGE, NULL,
     "codec of the workers' messages; factor without rank sends a dense layer's deltas and inputs, where they are "
     "smaller"},
    {"down-codec", OPTION_CODEC, FIELD(down_codec), ROLE_SERVED, true, NO_RANGE, NULL, "codec of the server's updates"},
    {"exchange", OPTION_CHOICE, FIELD(exchange), ROLE_SYNCHRONOUS, true, NO_RANGE, "gradients|parameters|changes",
     "average gradients every step, or every --every epochs parameters or their changes since the last average"},
    {"every", OPTION_COUNT, FIELD(every), ROLE_SYNCHRONOUS, true, 1, 1e6, NULL,
     "epochs between two exchanges of parameters or changes"},
    {"residual", OPTION_FLAG, FIELD(residual), ROLE_SYNCHRONOUS, true, NO_RANGE, NULL,
     "error feedback: workers and server add what a packet loses to their next message"},
    {"add-packets", OPTION_FLAG, FIELD(add_packets), ROLE_SYNCHRONOUS, true, NO_RANGE, NULL,
     "add the workers' packets without decoding them; for ternary, quant and sensing the workers first agree on one "
     "grid for each tensor"},
    {"workers", OPTION_COUNT, FIELD(workers), ROLE_SYNCHRONOUS | ROLE_GOSSIP_LOCAL, true, 1, 1024, NULL,
     "number of workers, or of peers"},
    {"epochs", OPTION_COUNT, FIELD(epochs), ROLE_ANY & ~(unsigned)ROLE_WORKER, false, 1, 1e6, NULL,
     "passes over the data; those before --resume count"},
    {"batch", OPTION_COUNT, FIELD(batch), ROLE_ANY, true, 1, 1e6, NULL, "samples in one step of one worker"},
    {"seed", OPTION_COUNT, FIELD(seed), ROLE_ANY, true, 0, 9e15, NULL,
     "seed of parameters, shuffling and stochastic codecs"},
    {"lr", OPTION_REAL, FIELD(rate), ROLE_ANY, true, 1e-9, 1e9, NULL, "learning rate"},
    {"lr-decay", OPTION_REAL, FIELD(rate_decay), ROLE_ANY, true, 1e-3, 1, NULL,
     "factor on the learning rate after every epoch"},
    {"momentum", OPTION_REAL, FIELD(momentum), ROLE_ANY, true, 0, 0.9999, NULL, "momentum of SGD; 0: none"},
    {"l1", OPTION_REAL, FIELD(l1), ROLE_ANY, true, 0, 1, NULL,
     "L1 regularization: after a step, every weight moves towards 0 by lr * l1 / (1 - momentum); 0: none"},
    {"metrics", OPTION_TEXT, FIELD(metrics), ROLE_ANY & ~(unsigned)ROLE_WORKER, false, NO_RANGE, NULL,
     "CSV file to write, with one row for each epoch and worker"},
    {"save", OPTION_TEXT, FIELD(save), ROLE_ANY, false, NO_RANGE, NULL,
     "checkpoint file to write at reports; worker or peer N writes FILE.workerN"},
    {"resume", OPTION_TEXT, FIELD(resume), ROLE_ANY, false, NO_RANGE, NULL, "checkpoint file to continue from"},
};

void trainer_defaults(struct trainer_settings *settings) {
    struct error none;
    memset(settings, 0, sizeof *settings);
    net_plan_parse("784-392-50-10", &settings->net, &none);
    settings->every = 1;
    settings->workers = 4;
    settings->epochs = 10;
    settings->batch = 64;
    settings->seed = 1;
    settings->rate = 0.1;
    settings->rate_decay = 0.7;
    settings->momentum = 0.9;
}

struct option_table trainer_options(struct trainer_settings *settings) {
    struct option_table table = {trainer_option, sizeof trainer_option / sizeof *trainer_option, settings};
    return table;
}

bool trainer_check(const struct trainer_settings *settings, struct error *error) {
    if (settings->exchange == EXCHANGE_GRADIENTS && settings->every != 1)
        return set_error(
            error,
            "--every %llu: gradients are exchanged every step: use --every with --exchange parameters or changes",
            (unsigned long long)settings->every);
    if (settings->exchange == EXCHANGE_PARAMETERS && settings->residual)
        return set_error(error,
                         "--residual: error feedback is for sums: use --residual with --exchange gradients or changes");
    char down[320];
    if (settings->add_packets &&
        (dtc_spec_format(&settings->down_codec, down, sizeof down) || strcmp(down, "raw") != 0))
        return set_error(error,
                         "--add-packets: the update is the sum of the packets, undecoded: leave --down-codec out");
    return true;
}

const char *trainer_data_dir(const struct trainer_settings *settings) {
    return settings->data ? settings->data : dataset_dirs[settings->dataset];
}
