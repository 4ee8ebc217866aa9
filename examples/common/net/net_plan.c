#include "net_plan.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_CLASSES = 256 };

static const struct layer_kind *const kinds[] = {&layer_dense, &layer_convolution, &layer_pool, &layer_circulant};

static const struct layer_kind *find_kind(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strlen(kinds[i]->name) == length && memcmp(kinds[i]->name, name, length) == 0) return kinds[i];
    return NULL;
}

/* Reads the numbers of a layer, such as 5x12. Returns the end of the numbers, or NULL if their count or a value does
 * not match the kind. */
static const char *read_numbers(const char *at, const struct layer_kind *kind, size_t number[2]) {
    for (size_t count = 0; count < kind->most; at++) {
        char *end;
        number[count] = *at >= '0' && *at <= '9' ? strtoul(at, &end, 10) : 0;
        if (number[count] < 1 || number[count] > kind->limit[count]) return NULL;
        at = end;
        if (++count >= kind->least && (*at == 0 || *at == '-')) return at;
        if (*at != 'x') return NULL;
    }
    return NULL;
}

bool net_plan_parse(const char *text, struct net_plan *plan, struct error *error) {
    memset(plan, 0, sizeof *plan);
    if (strlen(text) >= sizeof plan->text) return set_error(error, "longer than %zu characters", sizeof plan->text - 1);
    memcpy(plan->text, text, strlen(text) + 1);
    for (const char *at = text, *end = NULL; !end || *end; at = end + 1) {
        struct layer_plan layer = {NULL, {0, 0}, (size_t)(at - text)};
        size_t letters = strspn(at, "abcdefghijklmnopqrstuvwxyz");
        layer.kind = find_kind(at, letters);
        if (!layer.kind)
            return set_error(
                error, "at \"%s\": no such layer: layers are 50, conv5x12, pool2 or circulant512, for example", at);
        end = read_numbers(at + letters, layer.kind, layer.number);
        if (!end) return set_error(error, "at \"%s\": not in the form %s", at, layer.kind->form);
        if (at == text && layer.kind == &layer_dense && *end)
            plan->inputs = layer.number[0];
        else if (plan->count == NET_MAX_LAYERS)
            return set_error(error, "at \"%s\": more than %d layers", at, NET_MAX_LAYERS);
        else
            plan->layer[plan->count++] = layer;
    }
    const struct layer_plan *last = &plan->layer[plan->count - 1];
    plan->classes = last->number[0];
    if (last->kind != &layer_dense || plan->classes > MAX_CLASSES)
        return set_error(error, "at \"%s\": the last layer must be the number of classes, from 1 to %d",
                         text + last->at, MAX_CLASSES);
    return true;
}
