#define _XOPEN_SOURCE 700 /* for realpath */
#include "file.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char temporary[4096]; /* path of the open output's temporary file; "": none */

bool file_read(const char *path, uint8_t **bytes, size_t *size, struct error *error) {
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    struct stat status;
    size_t capacity = 1 << 16, have = 0;
    if (!file) return set_error(error, "cannot be opened: %s", strerror(errno));
    if (fstat(fileno(file), &status) == 0 && S_ISREG(status.st_mode) && status.st_size >= 0)
        capacity = (size_t)status.st_size + 1; /* one more byte, so that the end of the file is seen */
    uint8_t *data = (uint8_t *)malloc(capacity);
    bool good = data != NULL, end = false;
    while (good && !end) {
        size_t got = fread(data + have, 1, capacity - have, file);
        have += got;
        end = got == 0;
        if (have < capacity) continue;
        uint8_t *grown = capacity < SIZE_MAX / 2 ? (uint8_t *)realloc(data, 2 * capacity) : NULL;
        good = grown != NULL;
        if (good) data = grown;
        capacity *= 2;
    }
    if (!good) set_error(error, "no memory for its %zu bytes or more: use a machine with more memory", capacity);
    if (good && ferror(file)) good = set_error(error, "cannot be read: %s", strerror(errno));
    if (!standard) fclose(file);
    if (!good) free(data);
    *bytes = good ? data : NULL;
    *size = good ? have : 0;
    return good;
}

/* Removes the temporary file and ends the program by the same signal. */
static void end_by_signal(int number) {
    if (temporary[0]) unlink(temporary);
    signal(number, SIG_DFL);
    raise(number);
}

/* Creates the temporary file beside the target, so that it can be renamed. */
static bool open_beside(struct output *output, mode_t mode, struct error *error) {
    int length = snprintf(temporary, sizeof temporary, "%s.XXXXXX", output->target);
    bool fits = length > 0 && (size_t)length < sizeof temporary;
    int fd = fits ? mkstemp(temporary) : -1;
    if (fd < 0) {
        temporary[0] = 0;
        return set_error(error, "cannot be written: %s", fits ? strerror(errno) : "its path is too long");
    }
    signal(SIGINT, end_by_signal);
    signal(SIGTERM, end_by_signal);
    signal(SIGHUP, end_by_signal);
    output->stream = fdopen(fd, "wb");
    if (output->stream && fchmod(fd, mode) == 0) return true;
    set_error(error, "cannot be written: %s", strerror(errno));
    if (!output->stream) close(fd);
    return false;
}

bool output_open(struct output *output, const char *path, struct error *error) {
    struct stat status;
    mode_t mask = umask(0), mode = 0666 & ~mask;
    umask(mask);
    memset(output, 0, sizeof *output);
    output->path = path;
    bool exists = stat(path, &status) == 0;
    if (exists && S_ISDIR(status.st_mode)) return set_error(error, "is a directory: name a file");
    if (strcmp(path, "-") == 0 || (exists && !S_ISREG(status.st_mode))) {
        output->stream = tmpfile();
        return output->stream || set_error(error, "no temporary file for what goes there: %s", strerror(errno));
    }
    if (exists) {
        mode = status.st_mode & 0777;
        if (access(path, W_OK) != 0) return set_error(error, "cannot be written: %s", strerror(errno));
    }
    output->target = exists ? realpath(path, NULL) : strdup(path);
    if (!output->target) return set_error(error, "cannot be written: %s", strerror(errno));
    if (open_beside(output, mode, error)) return true;
    output_discard(output);
    return false;
}

bool output_write(struct output *output, const void *bytes, size_t size, struct error *error) {
    return size == 0 || fwrite(bytes, 1, size, output->stream) == size ||
           set_error(error, "cannot be written: %s", strerror(errno));
}

/* Copies the temporary file to standard output or to a device. */
static bool copy_out(const struct output *output, struct error *error) {
    bool standard = strcmp(output->path, "-") == 0;
    FILE *to = standard ? stdout : fopen(output->path, "wb");
    char piece[1 << 14];
    size_t got;
    if (!to) return set_error(error, "cannot be opened: %s", strerror(errno));
    rewind(output->stream);
    bool good = true;
    while (good && (got = fread(piece, 1, sizeof piece, output->stream)) > 0) good = fwrite(piece, 1, got, to) == got;
    if (good && ferror(output->stream)) good = false;
    if ((standard ? fflush(to) : fclose(to)) != 0) good = false;
    return good || set_error(error, "cannot be written: %s", strerror(errno));
}

bool output_commit(struct output *output, struct error *error) {
    bool good = fflush(output->stream) == 0 || set_error(error, "cannot be written: %s", strerror(errno));
    if (good && !output->target) good = copy_out(output, error);
    FILE *stream = output->stream;
    output->stream = NULL;
    if (fclose(stream) != 0 && good) good = set_error(error, "cannot be written: %s", strerror(errno));
    if (good && output->target) {
        good = rename(temporary, output->target) == 0 || set_error(error, "cannot be replaced: %s", strerror(errno));
        if (good) temporary[0] = 0;
    }
    output_discard(output);
    return good;
}

void output_discard(struct output *output) {
    if (output->stream) fclose(output->stream);
    if (temporary[0]) unlink(temporary);
    temporary[0] = 0;
    free(output->target);
    memset(output, 0, sizeof *output);
}
