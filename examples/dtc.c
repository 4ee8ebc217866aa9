/* dtc: the command line of dtcodec. It inspects packets, encodes and decodes files of floats, compares codecs on them,
 * and tells whether a codec makes training faster on a given link. Each command is a file of dtc/.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dtc/command.h"
#include "dtc/input.h"
#include "dtc/text.h"

enum { MOST_ARGUMENTS = 1 << 16, MOST_WORKERS = 65535 };

struct command {
    const char *name, *arguments, *summary;
    unsigned role; /* bit in the table of options */
    int least, most;
    int (*run)(const struct settings *settings, char **arguments, int count);
    const char *help;
};

enum { INSPECT = 1, ENCODE = 2, DECODE = 4, COMPARE = 8, PLAN = 16 };

static const struct command commands[] = {
    {"inspect", "[--json] FILE...", "show the packets of a file", INSPECT, 1, MOST_ARGUMENTS, inspect_run,
     "A FILE holds one packet, or a message of several packets in a row. Every packet takes one line: its number and\n"
     "place, its bytes, values, rows x columns and bits a value, the packets that it is the sum of and has room for,\n"
     "whether its checksum is right, and the part of the encoder's spec that it holds.\n"},
    {"encode", "[--from FORMAT] [--message] SPEC IN OUT", "encode floats", ENCODE, 3, 3, encode_run,
     "IN is float32 (little-endian), .npy (float16, float32 or float64) or .safetensors (F32, F16, BF16 or F64). OUT\n"
     "becomes one packet for each tensor, in the order of the file. The first dimension of a tensor is its rows, "
     "unless\n"
     "SPEC gives rows. SPEC is a text such as quant:bits=4 or raw:type=bf16; the manual in dtcodec.h lists all.\n"},
    {"decode", "[--like FILE] IN OUT", "decode packets to floats", DECODE, 2, 2, decode_run,
     "The ending of OUT tells its format: .npy, .safetensors, or float32 (little-endian) for any other. All are "
     "written\n"
     "as float32. A .npy has the rows and columns of the packet; several packets become one array of one dimension.\n"
     "--like gives the shapes, and the names that a .safetensors needs. It is also needed for messages of a trainer, "
     "in\n"
     "which small tensors share a packet; its tensors stand in the order in which the trainer passes them.\n"},
    {"compare", "[--specs LIST] [--plot OUT.svg] [--json] FILE", "rank codecs on your tensors", COMPARE, 1, 1,
     compare_run,
     "Encodes and decodes the tensors of FILE with each codec, and prints a line for each, the fewest bits first:\n"
     "bits a value, the squared error divided by the squares of the values, the cosine of the angle between values "
     "and\n"
     "decoded values, the speed of encoding and decoding in GB/s of float32, and the rate of a link below which "
     "encoding,\n"
     "sending and decoding take less time than sending float32. A star marks the codecs that no other one of the list\n"
     "beats in both bits and error. Speeds are medians, on one core, of at most 64 MB of the values.\n"},
    {"plan", "--link RATE --workers N [--compute TIME] [--specs LIST] FILE", "tell whether a codec pays", PLAN, 1, 1,
     plan_run,
     "Computes the seconds of a training step with a parameter server, as examples/tcp_trainer.c has one, for each "
     "codec.\n"
     "FILE holds a gradient. Its bits and the speeds are measured here. A step is the sum of: computing; encoding; "
     "the\n"
     "transfer up, in which all workers send at once, each over a link of its own; on the server, decoding and adding\n"
     "all messages and encoding their mean; the transfer down over the server's link, to one worker after another; "
     "and\n"
     "decoding. \"raw\" down means that the server sends float32, \"same\" that it uses the codec, too.\n"},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

/* An option, and the commands that take it. The characters are what getopt_long returns. */
struct named_option {
    char character;
    const char *name, *value; /* value: what stands for it in the help; NULL: it takes none */
    unsigned roles;
    const char *help;
};

static const struct named_option options[] = {
    {'j', "json", NULL, INSPECT | COMPARE, "print JSON"},
    {'f', "from", "FORMAT", ENCODE | COMPARE | PLAN,
     "raw, npy, safetensors or auto [auto: the ending tells; else .npy if it begins as one, else raw]"},
    {'m', "message", NULL, ENCODE, "one message, as dtc_message_encode makes it: small tensors share a packet"},
    {'i', "like", "FILE", DECODE, "a .npy or .safetensors file with the shapes (and names) of what was encoded"},
    {'s', "specs", "LIST", COMPARE | PLAN, "codecs, separated by blanks or semicolons [the usual ones]"},
    {'p', "plot", "OUT.svg", COMPARE, "also draw the errors against the bits, by gnuplot"},
    {'l', "link", "RATE", PLAN, "rate at which each machine sends: 1Gbit, 100Mbit or 12.5MB (bytes), a second"},
    {'w', "workers", "N", PLAN, "number of workers"},
    {'c', "compute", "TIME", PLAN, "time in which a worker computes its gradient: 0.12s or 120ms [0s]"},
    {'r', "residual", NULL, PLAN, "encode with error feedback, which takes longer"},
    {'u', "shared-uplink", NULL, PLAN, "all messages share the server's link on their way up, too, as behind a switch"},
    {'h', "help", NULL, INSPECT | ENCODE | DECODE | COMPARE | PLAN, "show this text"},
};

enum { OPTIONS = sizeof options / sizeof *options };

int fail(const char *path, const struct error *error) {
    char text[sizeof error->text + 512];
    snprintf(text, sizeof text, "%.480s: %s", strcmp(path, "-") == 0 ? "standard input or output" : path, error->text);
    fprintf(stderr, "dtc: %s\n", text_printable(text));
    return EXIT_DATA;
}

int misuse(const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "dtc: %s\n", text_printable(text));
    return EXIT_USAGE;
}

static void help(void) {
    printf("dtc: inspects, encodes and decodes packets of dtcodec, and compares its codecs on your tensors\n\n"
           "Usage:\n\n");
    for (size_t i = 0; i < COMMANDS; i++) printf("  dtc %-8s %s\n", commands[i].name, commands[i].summary);
    printf("\n  dtc COMMAND --help shows the arguments and options of a command.\n"
           "  dtc --version shows the versions of the library and of its packets.\n\n"
           "The file - is standard input or standard output. An output file appears when it is complete: a failure\n"
           "leaves no half file, and an older file of that name stays as it was.\n\n"
           "Exit codes: 0 done, 1 bad data or a failed file, 2 wrong arguments.\n");
}

static void command_help(const struct command *command) {
    printf("dtc %s: %s\n\nUsage:\n\n  dtc %s %s\n\n%s\nOptions:\n\n", command->name, command->summary, command->name,
           command->arguments, command->help);
    for (size_t i = 0; i < OPTIONS; i++) {
        char name[48];
        if (!(options[i].roles & command->role)) continue;
        snprintf(name, sizeof name, options[i].value ? "%s %s" : "%s", options[i].name, options[i].value);
        printf("  --%-15s %s\n", name, options[i].help);
    }
}

static bool parse_format(const char *text, int *format) {
    static const char *const names[] = {"auto", "raw", "npy", "safetensors"};
    for (*format = FORMAT_AUTO; *format <= FORMAT_SAFETENSORS; ++*format)
        if (strcmp(text, names[*format]) == 0) return true;
    return false;
}

static bool parse_count(const char *text, uint64_t most, uint64_t *number) {
    char *end;
    *number = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == 0 && *number >= 1 && *number <= most;
}

/* Takes one option. Returns EXIT_GOOD or EXIT_USAGE. */
static int set_option(struct settings *settings, int character, const char *value) {
    switch (character) {
    case 'j':
        settings->json = true;
        break;
    case 'f':
        if (!parse_format(value, &settings->from)) return misuse("--from %s: not auto, raw, npy or safetensors", value);
        break;
    case 'm':
        settings->message = true;
        break;
    case 'i':
        settings->like = value;
        break;
    case 's':
        settings->specs = value;
        break;
    case 'p':
        settings->plot = value;
        break;
    case 'l':
        settings->bits_per_second = text_rate(value);
        if (!(settings->bits_per_second > 0.0))
            return misuse("--link %s: not a rate: give one such as 1Gbit, 100Mbit or 12.5MB", value);
        break;
    case 'w':
        if (!parse_count(value, MOST_WORKERS, &settings->workers))
            return misuse("--workers %s: not a number from 1 to %d", value, MOST_WORKERS);
        break;
    case 'c':
        settings->compute_seconds = text_seconds(value);
        if (settings->compute_seconds < 0.0)
            return misuse("--compute %s: not a time: give one such as 0.12s or 120ms", value);
        break;
    case 'r':
        settings->residual = true;
        break;
    case 'u':
        settings->shared_uplink = true;
        break;
    }
    return EXIT_GOOD;
}

/* Fills in the options of getopt_long that a command takes. */
static void long_options(const struct command *command, struct option list[OPTIONS + 1]) {
    size_t count = 0;
    for (size_t i = 0; i < OPTIONS; i++) {
        struct option item = {options[i].name, options[i].value ? required_argument : no_argument, NULL,
                              options[i].character};
        if (options[i].roles & command->role) list[count++] = item;
    }
    memset(&list[count], 0, sizeof list[count]);
}

/* Runs a command with argv[0], its name, and what follows. */
static int run(const struct command *command, int argc, char **argv) {
    struct settings settings;
    struct option list[OPTIONS + 1];
    memset(&settings, 0, sizeof settings);
    long_options(command, list);
    opterr = 0; /* getopt_long moves what is no option to the end, and its own errors do not name dtc */
    for (int character; (character = getopt_long(argc, argv, ":", list, NULL)) != -1;) {
        const char *argument = argv[optind - 1];
        if (character == ':') return misuse("%s: its value is missing: see dtc %s --help", argument, command->name);
        if (character == '?')
            return misuse("%s: no such option, or a value that it does not take: see dtc %s --help", argument,
                          command->name);
        if (character == 'h') {
            command_help(command);
            return EXIT_GOOD;
        }
        int code = set_option(&settings, character, optarg);
        if (code != EXIT_GOOD) return code;
    }
    int count = argc - optind;
    if (count < command->least || count > command->most)
        return misuse("%s takes %s: see dtc %s --help", command->name, command->arguments, command->name);
    if (settings.like && strcmp(settings.like, "-") == 0 && strcmp(argv[optind], "-") == 0)
        return misuse("--like -: standard input is the packets already: name a file");
    return command->run(&settings, argv + optind, count);
}

/* Whether what was printed has arrived. */
static int finish(int code) {
    struct error error;
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    set_error(&error, "cannot be written: is the disk full, or the reader gone?");
    return fail("-", &error);
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0) return finish(run(&commands[i], argc - 1, argv + 1));
    if (strcmp(name, "--help") == 0) {
        help();
    } else if (strcmp(name, "--version") == 0) {
        printf("dtc %d.%d.%d, packets of wire version %d\n", DTC_VERSION_MAJOR, DTC_VERSION_MINOR, DTC_VERSION_PATCH,
               DTC_WIRE_VERSION);
    } else {
        return misuse(*name ? "%s: no such command: see dtc --help" : "%sno command is given: see dtc --help", name);
    }
    return finish(EXIT_GOOD);
}
