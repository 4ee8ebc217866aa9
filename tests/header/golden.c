/* golden FILE: of each packet in a file like those in tests/golden/, or in dtcodec.h, prints a line "decode" with a
 * hash of the decoded values, or with the status of a packet that is refused, and a line "encode" with a hash of the
 * packet that its spec and its values make here. Two builds must print the same of the same files. tests/test_golden.c
 * compares with the bytes, values and statuses that the files name. */
#include "dtcodec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 1 << 16, VALUES_MOST = 1 << 16, ROOM = 1 << 22 };

typedef struct list {
    float values[VALUES_MOST];
    size_t count;
} list;

static unsigned char written[LINE_BYTES], made[8 * VALUES_MOST], scratch[ROOM];
static char line[LINE_BYTES], spec_text[256];
static list encoded, expected;
static size_t size;

static uint64_t hash(const unsigned char *bytes, size_t n) {
    uint64_t sum = 14695981039346656037u;
    size_t i;
    for (i = 0; i < n; i++) sum = (sum ^ bytes[i]) * 1099511628211u;
    return sum;
}

static void print(const char *what, uint64_t sum, dtc_status status) {
    printf("%s %s %08lx%08lx %d\n", what, spec_text, (unsigned long)(sum >> 32), (unsigned long)(sum & 0xffffffffu),
           (int)status);
}

/* Values as x or x*n, n times x. */
static void read_values(list *to, const char *text) {
    char *end;
    float value;
    for (to->count = 0; value = strtof(text, &end), end != text; text = end) {
        size_t times = *end == '*' ? strtoul(end + 1, &end, 10) : 1;
        for (; times && to->count < VALUES_MOST; times--) to->values[to->count++] = value;
    }
}

/* Takes the bytes before the bar. Returns 0 where the line begins with none. */
static int read_bytes(const char *text) {
    size_t before = size;
    for (; size < LINE_BYTES; text += strspn(text, " ")) {
        char digits[3] = {text[0], text[0] ? text[1] : (char)0, 0}, *end;
        unsigned long byte = strtoul(digits, &end, 16);
        if (end != digits + 2 || (text[2] != ' ' && text[2] != '\n')) break;
        written[size++] = (unsigned char)byte;
        text += 2;
    }
    return size > before;
}

/* Compilers round what sensing decodes to each in its way, see the manual: such values are near those of the file. */
static uint64_t hash_values(const float *values, const dtc_info *info) {
    float most = 0;
    unsigned char bytes[4];
    uint64_t sum = 0;
    size_t i;
    for (i = 0; i < info->count && i < expected.count; i++) most = fmaxf(most, fabsf(expected.values[i]));
    for (i = 0; i < info->count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], 4);
        if (info->codec == DTC_SENSING) bits = !(fabsf(values[i] - expected.values[i]) <= 1e-5f * most);
        bytes[0] = (unsigned char)(bits & 255);
        bytes[1] = (unsigned char)(bits >> 8 & 255);
        bytes[2] = (unsigned char)(bits >> 16 & 255);
        bytes[3] = (unsigned char)(bits >> 24);
        sum = (sum << 7 | sum >> 57) ^ hash(bytes, 4);
    }
    return sum;
}

/* `encodes`: the text is a spec, else a name. */
static void print_packet(int encodes) {
    static float values[VALUES_MOST];
    size_t bytes = 0;
    dtc_spec spec;
    dtc_info info;
    dtc_status status = dtc_inspect(written, size, &info);
    if (status == DTC_OK && info.count > VALUES_MOST) status = DTC_ERROR_COUNT;
    if (status == DTC_OK) status = dtc_decode(values, info.count, written, size, NULL, scratch, sizeof scratch);
    print("decode", status == DTC_OK ? hash_values(values, &info) : 0, status);
    if (!encodes) return;
    status = dtc_spec_parse(spec_text, &spec, NULL);
    if (status == DTC_OK)
        status = dtc_encode(&spec, made, sizeof made, &bytes, encoded.values, encoded.count, scratch, sizeof scratch);
    print("encode", hash(made, bytes), status);
}

/* Starts a packet if the line is the first one of it. */
static int begin(const char *text) {
    static const char *const words[] = {"PACKET ", "VALID ", "REFUSED "};
    const char *colon = strstr(text, " :"), *name = NULL;
    size_t i;
    for (i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(text, words[i], strlen(words[i])) == 0) name = text + strlen(words[i]);
    if (!name || !colon || (size_t)(colon - name) >= sizeof spec_text) return 0;
    memcpy(spec_text, name, (size_t)(colon - name));
    spec_text[colon - name] = 0;
    read_values(&encoded, colon + 2);
    expected = encoded;
    size = 0;
    return 1;
}

/* Prints the packets of a file. Lines of dtcodec.h begin with " * ". */
static void print_file(FILE *file) {
    int open = 0, encodes = 0, more;
    do {
        const char *text = line;
        more = fgets(line, sizeof line, file) != NULL;
        if (more && strncmp(line, " * ", 3) == 0) text += 3;
        text += more ? strspn(text, " ") : 0;
        if (open && more && strncmp(text, "VALUES ", 7) == 0) {
            read_values(&expected, text + 7);
        } else if (open && (!more || !read_bytes(text))) {
            print_packet(encodes);
            open = 0;
        }
        if (more && begin(text)) {
            encodes = *text == 'P';
            open = 1;
        }
    } while (more);
}

int main(int argc, char **argv) {
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!file) return 2;
    print_file(file);
    return fclose(file) != 0;
}
