/* Tests of whole programs: runs one as processes on small images, reads what it says, and talks to it as a peer may.
 *
 * main calls program_start once, before all others.
 */
#ifndef DTC_TESTS_PROGRAM_H
#define DTC_TESTS_PROGRAM_H

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "examples/common/clock.h"
#include "examples/common/error.h"
#include "examples/common/memory.h"
#include "examples/common/transport/connection.h"
#include "tests/idx_files.h"

enum { MAX_ARGUMENTS = 64, PATIENCE_S = 120 };

static char program[4096];       /* its path */
static const char *common_words; /* what every run is started with */
static char dir[] = "build/test_program_XXXXXX";
static pid_t children[64]; /* that have not ended; 0: none */

/* The program is beside the tests' directory: build/tests/TEST, build/examples/NAME. */
static inline void program_start(int argc, char **argv, const char *name, const char *words) {
    const char *slash = argc ? strrchr(argv[0], '/') : NULL;
    snprintf(program, sizeof program, "%.*s/../examples/%s", slash ? (int)(slash - argv[0]) : 1, slash ? argv[0] : ".",
             name);
    common_words = words;
}

static inline const char *in_dir(const char *name) {
    static char path[8][4096];
    static int next;
    next = (next + 1) % 8;
    snprintf(path[next], sizeof path[next], "%s/%s", dir, name);
    return path[next];
}

/* The whole file as text, to be freed. */
static inline char *text_of(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s: cannot be read", path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *text = (char *)allocate(size + 1, 1);
    assert_int_equal(fread(text, 1, size, file), size);
    fclose(file);
    return text;
}

/* Starts PROGRAM ROLE with the common words, then the given words; all it prints goes to the log in `dir`. */
static inline pid_t start(const char *log, const char *role, const char *words) {
    char *argument[MAX_ARGUMENTS], buffer[1024];
    size_t count = 0;
    argument[count++] = program;
    snprintf(buffer, sizeof buffer, "%s --data %s", role, dir);
    for (char *word = strtok(buffer, " "); word; word = strtok(NULL, " ")) argument[count++] = strdup(word);
    snprintf(buffer, sizeof buffer, "%s", common_words);
    for (char *word = strtok(buffer, " "); word; word = strtok(NULL, " ")) argument[count++] = strdup(word);
    snprintf(buffer, sizeof buffer, "%s", words);
    for (char *word = strtok(buffer, " "); word; word = strtok(NULL, " ")) argument[count++] = strdup(word);
    assert_true(count < MAX_ARGUMENTS);
    argument[count] = NULL;
    unlink(in_dir(log)); /* nobody shall wait for the words of an earlier run */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int output = open(in_dir(log), O_WRONLY | O_CREAT | O_TRUNC, 0644);
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        execv(program, argument);
        _exit(127);
    }
    for (size_t i = 1; i < count; i++) free(argument[i]);
    size_t slot = 0;
    while (children[slot]) slot++;
    children[slot] = child;
    return child;
}

static inline int end_of(pid_t child) {
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    for (size_t i = 0; i < sizeof children / sizeof *children; i++)
        if (children[i] == child) children[i] = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline void kill_child(pid_t child) {
    kill(child, SIGKILL);
    end_of(child);
}

/* After every test, as a failed one leaves them. */
static inline int kill_children(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof children / sizeof *children; i++)
        if (children[i]) kill_child(children[i]);
    return 0;
}

/* Runs to the end; the log's text, to be freed, when the exit code is as expected. */
static inline char *run(const char *role, const char *words, int expected_code) {
    int code = end_of(start("run.log", role, words));
    char *log = text_of(in_dir("run.log"));
    if (code != expected_code) fail_msg("%s %s %s: exit code %d\n%s", program, role, words, code, log);
    return log;
}

static inline void assert_says(const char *log, const char *words) {
    if (!strstr(log, words)) fail_msg("not said: %s\n%s", words, log);
}

static inline size_t occurrences(const char *text, const char *words) {
    size_t count = 0;
    while ((text = strstr(text, words))) {
        count++;
        text++;
    }
    return count;
}

/* Waits until the log says the words at least so many times. */
static inline void await(const char *log, const char *words, size_t times) {
    for (double start_s = clock_seconds(); clock_seconds() < start_s + PATIENCE_S;) {
        char *text = access(in_dir(log), R_OK) == 0 ? text_of(in_dir(log)) : (char *)allocate(1, 1);
        size_t found = occurrences(text, words);
        free(text);
        if (found >= times) return;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    fail_msg("not said in %d s: %s\n%s", PATIENCE_S, words, text_of(in_dir(log)));
}

static inline int make_data(void **state) {
    (void)state;
    if (!mkdtemp(dir)) return -1;
    write_images(dir, "train", 512, 8, 4, 0);
    write_images(dir, "t10k", 128, 8, 4, 1);
    return 0;
}

static inline int remove_data(void **state) {
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

static inline double field_after(const char *text, const char *words) {
    const char *at = strstr(text, words);
    if (!at) fail_msg("not said: %s\n%s", words, text);
    return strtod(at + strlen(words), NULL);
}

/* KiB that a process may grow by while strangers trouble it. Sanitizers keep freed memory for some time. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { GROWTH_KB = 64 * 1024 };
#else
enum { GROWTH_KB = 1024 };
#endif

/* Kilobytes of memory that a process has. */
static inline double memory_kb(pid_t process) {
    char path[64], line[256];
    double kb = 0.0;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)process);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) sscanf(line, "VmRSS: %lf", &kb);
    fclose(file);
    assert_true(kb > 0.0);
    return kb;
}

static inline void send_raw(const struct connection *connection, const void *bytes, size_t size) {
    assert_int_equal(write(connection->fd, bytes, size), size);
}

static inline void send_one(struct connection *connection, int type, uint32_t round, const void *payload,
                            size_t bytes) {
    struct pace unpaced = {0.0, 0.0};
    struct error error;
    if (!frame_send(connection, &unpaced, (uint8_t)type, round, (const uint8_t *)payload, bytes, PATIENCE_S, &error))
        fail_msg("%s", error.text);
}

static inline struct frame receive_one(struct connection *connection, int type) {
    struct error error;
    struct frame frame;
    if (!frame_wait(connection, PATIENCE_S, &frame, &error)) fail_msg("%s", error.text);
    assert_int_equal(frame.type, type);
    frame_done(connection);
    return frame;
}

#endif
