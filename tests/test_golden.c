/* Packets written down byte by byte: those in dtcodec.h, and those in tests/golden/ which decode alike for ever.
 *
 *     PACKET <spec> : <values>           in dtcodec.h each line begins with " * "
 *     VALID <name> :                     a packet that is valid, but that no encoder makes
 *     REFUSED <name> : <status>          a packet that is not valid, and its status without DTC_ERROR_
 *     <bytes in hex> | <what they are>   as many lines as it takes
 *     VALUES <values>                    what it decodes to, where that is not what was encoded
 *
 * where x*n among the values is n times x. `test_golden SPEC VALUES` prints a new one. Run from the top directory. */
#include "helpers.h"

#include <dirent.h>

#define LINE_BYTES  ((size_t)1 << 16)
#define VALUES_MOST ((size_t)1 << 16)

typedef struct list {
    float values[VALUES_MOST];
    size_t count;
} list;

typedef enum line_kind { PACKET, VALID, REFUSED } line_kind;

static const char *const kind_words[] = {"PACKET ", "VALID ", "REFUSED "};

typedef struct written {
    line_kind kind;
    char spec[256]; /* or the name */
    list encoded, decoded;
    dtc_status status;
    unsigned char bytes[LINE_BYTES];
    size_t size;
} written;

static dtc_status status_of(const char *name) {
    static const struct {
        const char *name;
        dtc_status status;
    } known[] = {
        {"TRUNCATED", DTC_ERROR_TRUNCATED}, {"MAGIC", DTC_ERROR_MAGIC}, {"WIRE_VERSION", DTC_ERROR_WIRE_VERSION},
        {"CODEC", DTC_ERROR_CODEC},         {"HEAD", DTC_ERROR_HEAD},   {"SIZE", DTC_ERROR_SIZE},
        {"CHECKSUM", DTC_ERROR_CHECKSUM},   {"LIMIT", DTC_ERROR_LIMIT}, {"PAYLOAD", DTC_ERROR_PAYLOAD},
    };
    size_t bytes = strcspn(name, "\n"), i;
    for (i = 0; i < LENGTH(known); i++)
        if (strlen(known[i].name) == bytes && memcmp(known[i].name, name, bytes) == 0) return known[i].status;
    fail_msg("not a status: %s", name);
    return DTC_OK;
}

static void read_values(list *to, const char *text) {
    char *end;
    to->count = 0;
    for (;;) {
        float value = strtof(text, &end);
        size_t times = 1;
        if (end == text) break;
        text = end;
        if (*text == '*') {
            times = strtoul(text + 1, &end, 10);
            text = end;
        }
        for (; times; times--) {
            assert_true(to->count < VALUES_MOST);
            to->values[to->count++] = value;
        }
    }
    CHECK(text[strspn(text, " \r\n")] == 0, "not a value: %s", text);
}

/* Bytes up to the bar. 0 where the line does not begin with some. */
static int read_bytes(written *to, const char *line) {
    size_t before = to->size;
    for (;; line += strspn(line, " ")) {
        char digits[3] = {line[0], line[0] ? line[1] : (char)0, 0}, *end;
        unsigned long byte = strtoul(digits, &end, 16);
        if (end != digits + 2 || (line[2] != ' ' && line[2] != '\n')) break;
        assert_true(to->size < LINE_BYTES);
        to->bytes[to->size++] = (unsigned char)byte;
        line += 2;
    }
    return to->size > before && (*line == '|' || *line == '\n');
}

/* To the bit; but what sensing decodes to, compilers round each in its way. */
static int same_values(const packet *made, const float *decoded, const list *expected) {
    float most = 0;
    size_t i;
    if (inspect(made).codec != DTC_SENSING) return memcmp(decoded, expected->values, 4 * expected->count) == 0;
    for (i = 0; i < expected->count; i++) most = fmaxf(most, fabsf(expected->values[i]));
    for (i = 0; i < expected->count; i++)
        if (!(fabsf(decoded[i] - expected->values[i]) <= 1e-5f * most)) return 0;
    return 1;
}

/* dtc_inspect finds what the head tells, and decoding finds all. No value is written. */
static void check_refused(const char *path, const written *from) {
    static float values[256];
    unsigned char *bytes = (unsigned char *)memory(from->size); /* of its very size */
    size_t count = from->size >= 8 ? get32(from->bytes + 4) : 0, i;
    dtc_status status, of_head = from->status;
    dtc_info info;
    memcpy(bytes, from->bytes, from->size);
    if (of_head == DTC_ERROR_PAYLOAD || of_head == DTC_ERROR_CHECKSUM) of_head = DTC_OK;
    status = dtc_inspect(bytes, from->size, &info);
    CHECK(status == of_head, "%s, %s: %d of the head", path, from->spec, (int)status);
    CHECK(status != DTC_OK || count <= LENGTH(values), "%s, %s: %zu values", path, from->spec, count);
    if (count > LENGTH(values)) count = LENGTH(values);
    for (i = 0; i < LENGTH(values); i++) values[i] = 7;
    status = dtc_decode(values, count, bytes, from->size, NULL, workspace(MEBI), MEBI);
    CHECK(status == from->status, "%s, %s: %d", path, from->spec, (int)status);
    status = dtc_decode_add(values, count, 2, bytes, from->size, NULL, workspace(MEBI), MEBI);
    CHECK(status == from->status, "%s, %s: %d to add", path, from->spec, (int)status);
    for (i = 0; i < LENGTH(values); i++) assert_int_equal(float_bits(values[i]), float_bits(7));
    free(bytes);
}

static void check_packet(const char *path, const written *from, int encodes) {
    packet made;
    float *decoded;
    if (from->kind == REFUSED) {
        check_refused(path, from);
        return;
    }
    made.bytes = (unsigned char *)memory(from->size);
    made.size = from->size;
    memcpy(made.bytes, from->bytes, from->size);
    decoded = decode(&made);
    CHECK(inspect(&made).count == from->decoded.count, "%s, %s: %zu values", path, from->spec, inspect(&made).count);
    CHECK(same_values(&made, decoded, &from->decoded), "%s, %s", path, from->spec);
    free(decoded);
    free(made.bytes);
    if (encodes) {
        made = encode(from->spec, from->encoded.values, from->encoded.count);
        CHECK(made.size == from->size && memcmp(made.bytes, from->bytes, made.size) == 0, "%s, %s", path, from->spec);
        free(made.bytes);
    }
}

/* Starts a packet if the line is the first one of it. */
static int begin(written *now, const char *path, const char *line) {
    size_t word = 0, bytes;
    const char *name, *colon = strstr(line, " :");
    while (word < LENGTH(kind_words) && strncmp(line, kind_words[word], strlen(kind_words[word])) != 0) word++;
    if (word == LENGTH(kind_words)) return 0;
    name = line + strlen(kind_words[word]);
    bytes = colon ? (size_t)(colon - name) : sizeof now->spec;
    CHECK(bytes < sizeof now->spec, "%s: %s", path, line);
    memset(now->spec, 0, sizeof now->spec);
    memcpy(now->spec, name, bytes);
    now->kind = (line_kind)word;
    now->size = now->encoded.count = 0;
    if (now->kind == PACKET) read_values(&now->encoded, colon + 2);
    if (now->kind == REFUSED) now->status = status_of(colon + 3);
    now->decoded = now->encoded;
    return 1;
}

/* Checks all packets of a file whose lines have this prefix; returns how many. */
static int check_file(const char *path, const char *prefix, int encodes) {
    static char line[LINE_BYTES];
    static written now;
    FILE *file = fopen(path, "r");
    int packets = 0, open = 0, more;
    CHECK(file != NULL, "%s: is this the top directory?", path);
    do {
        const char *text = line;
        more = fgets(line, sizeof line, file) != NULL;
        if (more && strncmp(line, prefix, strlen(prefix)) == 0) text += strlen(prefix);
        text += more ? strspn(text, " ") : 0;
        if (open && more && strncmp(text, "VALUES ", 7) == 0) {
            read_values(&now.decoded, text + 7);
        } else if (open && (!more || !read_bytes(&now, text))) {
            check_packet(path, &now, encodes);
            open = 0;
        }
        if (more && begin(&now, path, text)) {
            packets++;
            open = 1;
        }
    } while (more);
    fclose(file);
    return packets;
}

static void test_header(void **state) {
    (void)state;
    assert_in_range(check_file("dtcodec.h", " * ", 1), 3, 100);
}

static void test_golden(void **state) {
    DIR *directory = opendir("tests/golden");
    const struct dirent *entry;
    char path[512];
    int files = 0, packets = 0;
    (void)state;
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        const char *suffix = strrchr(entry->d_name, '.');
        if (!suffix || strcmp(suffix, ".hex") != 0) continue;
        snprintf(path, sizeof path, "tests/golden/%s", entry->d_name);
        packets += check_file(path, "", 0);
        files++;
    }
    closedir(directory);
    assert_in_range(files, 56, 1000);
    assert_in_range(packets, 54 + 26 + 117, 1000);
}

static void print_values(const float *values, size_t count) {
    size_t i, n;
    for (i = 0; i < count; i += n) {
        for (n = 1; i + n < count && float_bits(values[i + n]) == float_bits(values[i]); n++) {
        }
        printf(n > 1 ? " %.9g*%zu" : " %.9g", (double)values[i], n);
    }
    printf("\n");
}

static int print_packet(const char *spec, const char *text) {
    static list values;
    packet made;
    float *decoded;
    size_t i;
    read_values(&values, text);
    made = encode(spec, values.values, values.count);
    decoded = decode(&made);
    printf("PACKET %s :", spec);
    print_values(values.values, values.count);
    for (i = 0; i < made.size; i++)
        printf("%02x%c", (unsigned)made.bytes[i], i % 32 == 31 || i + 1 == made.size ? '\n' : ' ');
    printf("VALUES");
    print_values(decoded, values.count);
    free(decoded);
    free(made.bytes);
    return 0;
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_header), cmocka_unit_test(test_golden)};
    if (argc == 3) return print_packet(argv[1], argv[2]);
    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
