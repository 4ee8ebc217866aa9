#include "plot.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "file.h"

extern char **environ;

/* Starts gnuplot, which reads from one end of the pipe `in` and writes to the file `out`. Returns an errno. */
static int start(const int in[2], int out, pid_t *child) {
    char name[] = "gnuplot", *arguments[] = {name, NULL};
    posix_spawn_file_actions_t actions;
    int failure = posix_spawn_file_actions_init(&actions);
    if (failure) return failure;
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, in[1]);
    failure = posix_spawnp(child, name, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return failure;
}

/* Writes gnuplot's commands, with the points. A point without error has no place on a logarithmic axis: it stands at
 * the lower border. */
static void write_commands(FILE *to, const struct measurement *rows, size_t count) {
    const double floor = 1e-12;
    fprintf(to, "set terminal svg size 900,600 font 'sans,12' background '#ffffff'\n$points << END\n");
    for (size_t i = 0; i < count; i++)
        fprintf(to, "%.9g %.9g %s\n", rows[i].bits, rows[i].nmse > floor ? rows[i].nmse : floor, rows[i].spec);
    fprintf(
        to,
        "END\nset logscale xy\nset grid\nunset key\nset offsets graph 0.05, graph 0.3, graph 0.05, graph 0.05\n"
        "set xlabel 'bits a value'\nset ylabel 'relative squared error'\nset format y '%%.0e'\n"
        "plot $points using 1:2 with points pointtype 7, '' using 1:2:3 with labels left offset 0.7,0 noenhanced\n");
}

bool plot_draw(const char *path, const struct measurement *rows, size_t count, struct error *error) {
    struct output output;
    int in[2], status = 0;
    pid_t child;
    if (!output_open(&output, path, error)) return false;
    if (pipe(in) != 0) {
        output_discard(&output);
        return set_error(error, "no pipe to gnuplot: %s", strerror(errno));
    }
    int failure = start(in, fileno(output.stream), &child);
    close(in[0]);
    if (failure) {
        close(in[1]);
        output_discard(&output);
        return failure == ENOENT ? set_error(error, "gnuplot is missing: install it (gnuplot-nox), or leave --plot out")
                                 : set_error(error, "gnuplot cannot be started: %s", strerror(failure));
    }
    signal(SIGPIPE, SIG_IGN); /* gnuplot may end early; its exit code tells */
    FILE *to = fdopen(in[1], "w");
    if (to) {
        write_commands(to, rows, count);
        fclose(to);
    } else {
        close(in[1]);
    }
    bool good = waitpid(child, &status, 0) == child && to && WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
                fseek(output.stream, 0, SEEK_END) == 0 && ftell(output.stream) > 0;
    if (good) return output_commit(&output, error);
    output_discard(&output);
    return set_error(error, "gnuplot failed, see above");
}
