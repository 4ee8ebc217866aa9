#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../memory.h"
#include "../net/net_plan.h"
#include "dtcodec.h"

enum { VALUE_BYTES = 320 };

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

/* Copies the choice at *at and moves *at past it. Returns false at the end of the list. */
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
        return set_error(error, "--%s %s: the seed of every packet derives from --seed: leave seed out", option->name,
                         text);
    if (value->rows || (value->codec == DTC_CIRCULANT && value->block))
        return set_error(error, "--%s %s: the net's layers give the shapes: leave %s out", option->name, text,
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
        for (int digits = 1; digits <= 17; digits++) { /* the fewest digits that read back as the same number */
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

void options_settings_text(const struct option_table *tables, size_t table_count, char *text, size_t capacity) {
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
