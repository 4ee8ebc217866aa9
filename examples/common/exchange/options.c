#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_BYTES = 320 };

static const char *const dataset_dirs[] = {"/usr/share/datasets/fashion-mnist", "build/data/mnist"};

#define FIELD(name) offsetof(struct trainer_settings, name)
#define NO_RANGE    0.0, 0.0

static const struct option trainer_option[] = {
    {"dataset", OPTION_CHOICE, FIELD(dataset), ROLE_ANY, true, NO_RANGE, "fashion-mnist|mnist", "what to train on"},
    {"data", OPTION_TEXT, FIELD(data), ROLE_ANY, false, NO_RANGE, NULL,
     "directory of its four IDX files, gzipped or not (without it: where `make data` puts them)"},
    {"limit", OPTION_COUNT, FIELD(limit), ROLE_ANY, true, 0, 1e9, NULL, "train on the first so many samples; 0: all"},
    {"center", OPTION_FLAG, FIELD(center), ROLE_ANY, true, NO_RANGE, NULL,
     "subtract the mean of the training images from all images"},
    {"net", OPTION_NET, FIELD(net), ROLE_ANY, true, NO_RANGE, NULL,
     "inputs, layers (units, or as in conv5x12, pool2, circulant512) and classes"},
    {"activation", OPTION_CHOICE, FIELD(activation), ROLE_ANY, true, NO_RANGE, "relu|tanh", "between the layers"},
    {"codec", OPTION_CODEC, FIELD(codec), ROLE_ANY, true, NO_RANGE, NULL,
     "of what the workers send; factor without rank: a dense layer's deltas and inputs, where that is smaller"},
    {"down-codec", OPTION_CODEC, FIELD(down_codec), ROLE_SERVED, true, NO_RANGE, NULL, "of what they get back"},
    {"exchange", OPTION_CHOICE, FIELD(exchange), ROLE_SYNCHRONOUS, true, NO_RANGE, "gradients|parameters",
     "average gradients every step, or parameters every so many epochs"},
    {"every", OPTION_COUNT, FIELD(every), ROLE_SYNCHRONOUS, true, 1, 1e6, NULL,
     "epochs from one --exchange parameters to the next"},
    {"residual", OPTION_FLAG, FIELD(residual), ROLE_SYNCHRONOUS, true, NO_RANGE, NULL,
     "error feedback: what a packet loses is added to the next gradient, both ways"},
    {"add-packets", OPTION_FLAG, FIELD(add_packets), ROLE_SYNCHRONOUS, true, NO_RANGE, NULL,
     "sum the workers' packets as they are, undecoded; ternary, quant and sensing agree on one grid a tensor first"},
    {"workers", OPTION_COUNT, FIELD(workers), ROLE_SYNCHRONOUS | ROLE_GOSSIP_LOCAL, true, 1, 1024, NULL, "how many"},
    {"epochs", OPTION_COUNT, FIELD(epochs), ROLE_ANY & ~(unsigned)ROLE_WORKER, false, 1, 1e6, NULL,
     "passes over the data, in all"},
    {"batch", OPTION_COUNT, FIELD(batch), ROLE_ANY, true, 1, 1e6, NULL, "samples a step and worker"},
    {"seed", OPTION_COUNT, FIELD(seed), ROLE_ANY, true, 0, 9e15, NULL,
     "of parameters, shuffling and stochastic codecs"},
    {"lr", OPTION_REAL, FIELD(rate), ROLE_ANY, true, 1e-9, 1e9, NULL, "learning rate"},
    {"lr-decay", OPTION_REAL, FIELD(rate_decay), ROLE_ANY, true, 1e-3, 1, NULL, "factor on it after every epoch"},
    {"momentum", OPTION_REAL, FIELD(momentum), ROLE_ANY, true, 0, 0.9999, NULL, "of SGD; 0: none"},
    {"metrics", OPTION_TEXT, FIELD(metrics), ROLE_ANY & ~(unsigned)ROLE_WORKER, false, NO_RANGE, NULL,
     "CSV file to write, a row an epoch and worker"},
    {"save", OPTION_TEXT, FIELD(save), ROLE_SYNCHRONOUS, false, NO_RANGE, NULL,
     "checkpoint to write as epochs end; worker N writes FILE.workerN"},
    {"resume", OPTION_TEXT, FIELD(resume), ROLE_SYNCHRONOUS, false, NO_RANGE, NULL, "checkpoint to go on from"},
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
        return set_error(error, "--every %llu: gradients are exchanged every step: use it with --exchange parameters",
                         (unsigned long long)settings->every);
    if (settings->exchange == EXCHANGE_PARAMETERS && settings->residual)
        return set_error(error,
                         "--residual: error feedback is for sums of gradients: use it with --exchange gradients");
    char down[VALUE_BYTES];
    if (settings->add_packets &&
        (dtc_spec_format(&settings->down_codec, down, sizeof down) || strcmp(down, "raw") != 0))
        return set_error(error, "--add-packets sends the sum of the packets on as it is: leave --down-codec out");
    return true;
}

const char *trainer_data_dir(const struct trainer_settings *settings) {
    return settings->data ? settings->data : dataset_dirs[settings->dataset];
}

static void *field_of(const struct option_table *table, const struct option *option) {
    return (char *)table->settings + option->field;
}

static bool parse_count(const struct option *option, const char *text, uint64_t *value, struct error *error) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || (double)number < option->least ||
        (double)number > option->most)
        return set_error(error, "--%s %s: not a whole number from %.0f to %.0f", option->name, text, option->least,
                         option->most);
    *value = number;
    return true;
}

static bool parse_real(const struct option *option, const char *text, double *value, struct error *error) {
    char *end;
    *value = strtod(text, &end);
    if (end == text || *end || !(*value >= option->least && *value <= option->most))
        return set_error(error, "--%s %s: not a number from %g to %g", option->name, text, option->least, option->most);
    return true;
}

/* Copies the choice at *at and moves *at past it; false at the end. */
static bool next_choice(const char **at, char *choice) {
    size_t length = strcspn(*at, "|");
    memcpy(choice, *at, length);
    choice[length] = 0;
    *at += length + ((*at)[length] == '|');
    return length > 0;
}

static bool parse_choice(const struct option *option, const char *text, int *value, struct error *error) {
    char choice[VALUE_BYTES];
    const char *at = option->choices;
    for (int i = 0; next_choice(&at, choice); i++)
        if (strcmp(choice, text) == 0) {
            *value = i;
            return true;
        }
    return set_error(error, "--%s %s: not one of %s", option->name, text, option->choices);
}

static bool parse_codec(const struct option *option, const char *text, dtc_spec *value, struct error *error) {
    const char *at;
    dtc_status status = dtc_spec_parse(text, value, &at);
    if (status != DTC_OK)
        return set_error(error, "--%s %s: at \"%s\": %s", option->name, text, at, dtc_status_string(status));
    if (value->seed)
        return set_error(error, "--%s %s: every packet has a seed of its own, derived from --seed: leave seed out",
                         option->name, text);
    if (value->rows || (value->codec == DTC_CIRCULANT && value->block))
        return set_error(error, "--%s %s: shapes are those of the net's layers: leave %s out", option->name, text,
                         value->rows ? "rows" : "block");
    uint8_t packet[64];
    const float zero = 0.0f;
    size_t bytes, scratch_bytes = dtc_encode_scratch(value, 1);
    void *scratch = allocate(scratch_bytes, 1);
    status = dtc_encode(value, packet, sizeof packet, &bytes, &zero, 1, scratch, scratch_bytes);
    free(scratch);
    return status == DTC_OK || set_error(error, "--%s %s: %s", option->name, text, dtc_status_string(status));
}

static bool parse_net(const struct option *option, const char *text, struct net_plan *value, struct error *error) {
    struct error why;
    return net_plan_parse(text, value, &why) || set_error(error, "--%s %s: %.200s", option->name, text, why.text);
}

static bool parse_value(const struct option *option, const char *text, void *field, struct error *error) {
    switch (option->kind) {
    case OPTION_COUNT:
        return parse_count(option, text, (uint64_t *)field, error);
    case OPTION_REAL:
        return parse_real(option, text, (double *)field, error);
    case OPTION_CHOICE:
        return parse_choice(option, text, (int *)field, error);
    case OPTION_CODEC:
        return parse_codec(option, text, (dtc_spec *)field, error);
    case OPTION_NET:
        return parse_net(option, text, (struct net_plan *)field, error);
    case OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case OPTION_TEXT:
        break;
    }
    *(const char **)field = text;
    return *text || set_error(error, "--%s: its value is empty", option->name);
}

static void format_value(const struct option *option, const void *field, char *text) {
    switch (option->kind) {
    case OPTION_TEXT: {
        const char *value = *(const char *const *)field;
        snprintf(text, VALUE_BYTES, "%s", value ? value : "");
        break;
    }
    case OPTION_COUNT:
        snprintf(text, VALUE_BYTES, "%llu", (unsigned long long)*(const uint64_t *)field);
        break;
    case OPTION_REAL:
        for (int digits = 1; digits <= 17; digits++) { /* the fewest that read back as the same number */
            snprintf(text, VALUE_BYTES, "%.*g", digits, *(const double *)field);
            if (strtod(text, NULL) == *(const double *)field) break;
        }
        break;
    case OPTION_FLAG:
        snprintf(text, VALUE_BYTES, "%s", *(const bool *)field ? "on" : "off");
        break;
    case OPTION_CHOICE: {
        const char *at = option->choices;
        for (int i = 0; i <= *(const int *)field; i++) next_choice(&at, text);
        break;
    }
    case OPTION_CODEC:
        dtc_spec_format((const dtc_spec *)field, text, VALUE_BYTES);
        break;
    case OPTION_NET:
        snprintf(text, VALUE_BYTES, "%s", ((const struct net_plan *)field)->text);
        break;
    }
}

static const struct option *find_option(const struct option_table *tables, size_t table_count, const char *name,
                                        size_t length, void **field) {
    for (size_t t = 0; t < table_count; t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct option *option = &tables[t].option[i];
            if (strlen(option->name) != length || memcmp(option->name, name, length) != 0) continue;
            *field = field_of(&tables[t], option);
            return option;
        }
    return NULL;
}

bool options_parse(const struct option_table *tables, size_t table_count, unsigned role, int argc, char **argv,
                   struct error *error) {
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) return set_error(error, "%s: not an option: see --help", argv[i]);
        const char *name = argv[i] + 2;
        size_t length = strcspn(name, "=");
        void *field;
        const struct option *option = find_option(tables, table_count, name, length, &field);
        if (!option) return set_error(error, "%s: no such option: see --help", argv[i]);
        if (!(option->roles & role))
            return set_error(error, "--%s: not an option of this sub-command: see --help", option->name);
        const char *value = "";
        if (name[length] == '=') {
            if (option->kind == OPTION_FLAG) return set_error(error, "--%s takes no value", option->name);
            value = name + length + 1;
        } else if (option->kind != OPTION_FLAG) {
            if (i + 1 == argc) return set_error(error, "--%s: its value is missing", option->name);
            value = argv[++i];
        }
        if (!parse_value(option, value, field, error)) return false;
    }
    return true;
}

bool options_want_help(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0) return true;
    return false;
}

void options_help(const struct option_table *tables, size_t table_count, unsigned roles) {
    for (size_t t = 0; t < table_count; t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct option *option = &tables[t].option[i];
            char value[VALUE_BYTES];
            if (!(option->roles & roles)) continue;
            format_value(option, field_of(&tables[t], option), value);
            printf("  --%-12s %s", option->name, option->help);
            if (option->choices) printf(": %s", option->choices);
            printf(*value ? " [%s]\n" : "\n", value);
        }
}

void options_shared_text(const struct option_table *tables, size_t table_count, char *text, size_t capacity) {
    size_t length = 0;
    for (size_t t = 0; t < table_count; t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct option *option = &tables[t].option[i];
            char value[VALUE_BYTES];
            if (!option->shared || length >= capacity) continue;
            format_value(option, field_of(&tables[t], option), value);
            length +=
                (size_t)snprintf(text + length, capacity - length, "%s--%s %s", length ? " " : "", option->name, value);
        }
}

/* Copies the option at *at, up to the next " --", and moves *at past it. */
static void next_option(const char **at, char option[256]) {
    const char *end = strstr(*at, " --");
    size_t length = end ? (size_t)(end - *at) : strlen(*at);
    snprintf(option, 256, "%.*s", (int)(length < 255 ? length : 255), *at);
    *at += length + (end != NULL);
}

void options_difference(const char *a, const char *b, char a_option[256], char b_option[256]) {
    do {
        next_option(&a, a_option);
        next_option(&b, b_option);
    } while (strcmp(a_option, b_option) == 0 && (*a || *b));
    if (strcmp(a_option, b_option) == 0) a_option[0] = b_option[0] = 0;
}

#undef FIELD
#undef NO_RANGE
