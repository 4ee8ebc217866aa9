/* dtc inspect: shows the packets of files. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/memory.h"
#include "command.h"
#include "packets.h"
#include "specs.h"
#include "text.h"

/* Returns "none", "ok", or what is wrong with the packet's checksum or scales. */
static const char *checksum_of(struct packets *packets, const struct packet *packet) {
    if (packet->info.spec.no_checksum) return "none";
    /* this verifies the checksum without decoding, which a head that asks for 2^30 values would make expensive */
    dtc_status status = dtc_packet_scale(packets->bytes + packet->at, packet->info.packet_bytes, 1.0f);
    return status == DTC_OK ? "ok" : status == DTC_ERROR_CHECKSUM ? "bad" : dtc_status_string(status);
}

static double bits_of(const dtc_info *info) {
    return info->count ? 8.0 * (double)info->packet_bytes / (double)info->count : 0.0;
}

static void codec_text(const dtc_spec *spec, char text[SPEC_TEXT_BYTES]) {
    if (dtc_spec_format(spec, text, SPEC_TEXT_BYTES) != DTC_OK) snprintf(text, SPEC_TEXT_BYTES, "?");
}

static void print_packet(size_t number, const struct packet *packet, const char *checksum) {
    const dtc_info *info = &packet->info;
    char text[SPEC_TEXT_BYTES], shape[48];
    codec_text(&info->spec, text);
    snprintf(shape, sizeof shape, "%zu x %zu", info->rows, info->columns);
    printf("%6zu %10zu %10zu %11zu %15s %8.3f %4u of %-5u %-8s %s\n", number, packet->at, info->packet_bytes,
           info->count, shape, bits_of(info), info->terms, info->workers, checksum, text);
}

static bool add_packet(cJSON *list, const struct packet *packet, const char *checksum) {
    const dtc_info *info = &packet->info;
    char text[SPEC_TEXT_BYTES], codec[SPEC_TEXT_BYTES];
    cJSON *item = cJSON_CreateObject();
    if (!cJSON_AddItemToArray(list, item)) return false;
    codec_text(&info->spec, text);
    snprintf(codec, sizeof codec, "%.*s", (int)strcspn(text, ":"), text);
    return cJSON_AddNumberToObject(item, "offset", (double)packet->at) &&
           cJSON_AddStringToObject(item, "codec", codec) && cJSON_AddStringToObject(item, "spec", text) &&
           cJSON_AddNumberToObject(item, "values", (double)info->count) &&
           cJSON_AddNumberToObject(item, "rows", (double)info->rows) &&
           cJSON_AddNumberToObject(item, "columns", (double)info->columns) &&
           cJSON_AddNumberToObject(item, "workers", info->workers) &&
           cJSON_AddNumberToObject(item, "terms", info->terms) &&
           cJSON_AddNumberToObject(item, "bytes", (double)info->packet_bytes) &&
           cJSON_AddNumberToObject(item, "bits_per_value", bits_of(info)) &&
           cJSON_AddStringToObject(item, "checksum", checksum);
}

/* Adds a file and its list of packets to `files`. Returns the list; NULL: no memory, or `files` is NULL. */
static cJSON *add_file(cJSON *files, const char *path) {
    if (!files) return NULL;
    cJSON *file = cJSON_CreateObject();
    char *name = (char *)allocate(strlen(path) + 1, 1);
    strcpy(name, path);
    bool good = cJSON_AddItemToArray(files, file) && cJSON_AddStringToObject(file, "file", text_utf8(name));
    free(name);
    return good ? cJSON_AddArrayToObject(file, "packets") : NULL;
}

/* Shows the packets of one file, on standard output or, if `files` is not NULL, in that list. */
static int inspect(const char *path, cJSON *files) {
    struct packets packets;
    struct error error;
    bool good = packets_read(&packets, path, &error);
    cJSON *list = add_file(files, path);
    int code = EXIT_GOOD;
    if (!files && packets.count)
        printf("packet       byte      bytes      values  rows x columns     bits terms         checksum spec\n");
    for (size_t i = 0; i < packets.count; i++) {
        const char *checksum = checksum_of(&packets, &packets.packet[i]);
        bool bad = strcmp(checksum, "ok") != 0 && strcmp(checksum, "none") != 0;
        struct error damage;
        if (!files)
            print_packet(i, &packets.packet[i], bad ? "bad" : checksum);
        else if (!list || !add_packet(list, &packets.packet[i], bad ? "bad" : checksum))
            list = NULL;
        if (!bad) continue;
        set_error(&damage, "packet %zu at byte %zu: %s", i, packets.packet[i].at,
                  strcmp(checksum, "bad") == 0 ? dtc_status_string(DTC_ERROR_CHECKSUM) : checksum);
        fflush(stdout);
        code = fail(path, &damage);
    }
    fflush(stdout);
    if (!good) code = fail(path, &error);
    packets_free(&packets);
    if (!files || list) return code;
    set_error(&error, "no memory for its packets as JSON");
    return fail(path, &error);
}

static void print_name(const char *path) {
    char name[256];
    snprintf(name, sizeof name, "%s", path);
    printf("%s:\n", text_printable(name));
}

int inspect_run(const struct settings *settings, char **arguments, int count) {
    cJSON *files = settings->json ? cJSON_CreateArray() : NULL;
    int code = EXIT_GOOD;
    for (int i = 0; i < count; i++) {
        if (!files && count > 1) print_name(arguments[i]);
        if (inspect(arguments[i], files) != EXIT_GOOD) code = EXIT_DATA;
    }
    if (files) {
        char *text = cJSON_Print(files);
        if (text) puts(text);
        cJSON_free(text);
        cJSON_Delete(files);
    }
    return code;
}
