#include "progress.h"

#include <stdio.h>
#include <unistd.h>

enum { LONG_VALUES = 1 << 22, WIDTH = 50 };

void progress_add(struct progress *progress, size_t values) {
    char bar[WIDTH + 1];
    if (!progress) return;
    progress->done += (double)values;
    int percent = (int)(100.0 * progress->done / progress->total);
    if (!progress->shown || percent == progress->percent) return;
    progress->percent = percent;
    for (int i = 0; i < WIDTH; i++) bar[i] = i * 100 < percent * WIDTH ? '#' : '.';
    bar[WIDTH] = 0;
    fprintf(stderr, "\r[%s] %3d %%", bar, percent);
}

struct progress progress_begin(size_t runs, size_t values) {
    struct progress progress = {values >= LONG_VALUES && isatty(STDERR_FILENO), (double)runs * (double)values, 0.0, -1};
    progress_add(&progress, 0);
    return progress;
}

void progress_end(struct progress *progress) {
    if (progress->shown) fprintf(stderr, "\r%*s\r", WIDTH + 8, "");
    progress->shown = false;
}
