#include "processes.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../log.h"

size_t processes_start(pid_t *process, size_t count) {
    fflush(stdout); /* so that the copies do not print the buffered text again */
    for (size_t i = 0; i < count; i++) {
        process[i] = fork();
        if (process[i] == 0) return i + 1;
        if (process[i] < 0) say(i + 1, "could not be started");
    }
    return 0;
}

size_t processes_end(const pid_t *process, size_t count, bool stop, int *worst) {
    size_t well = 0;
    if (worst) *worst = 0;
    for (size_t i = 0; i < count; i++) {
        int status;
        if (process[i] < 0) continue;
        if (stop) kill(process[i], SIGTERM);
        if (waitpid(process[i], &status, 0) != process[i]) continue;
        well += WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (worst && WIFEXITED(status) && WEXITSTATUS(status) > *worst) *worst = WEXITSTATUS(status);
        if (WIFSIGNALED(status) && !stop) say(i + 1, "was killed by signal %d", WTERMSIG(status));
    }
    return well;
}
