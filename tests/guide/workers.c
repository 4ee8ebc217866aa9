/* Runs the program of examples/YOUR_TRAINER.md, with which this file is compiled: three workers, connected by sockets,
 * find the least squares of targets. Gradients are noisy, and one worker has a NaN in one step. The program fails if
 * the replicas differ, or do not come near the mean of the targets. */
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 3, STEPS = 100, TENSORS = 4, VALUES = 200 * 150 + 200 + 10 * 200 + 10 };
static const size_t counts[TENSORS] = {200 * 150, 200, 10 * 200, 10}, rows[TENSORS] = {200, 0, 10, 0};
static const float scales[TENSORS] = {1e-3f, 1e-1f, 1e-2f, 1.0f};
static float parameters[VALUES], gradients[VALUES], residuals[VALUES];
static int sockets[WORKERS];

void send_bytes(int peer, const void *data, size_t bytes) {
    const char *at = (const char *)data;
    while (bytes > 0) {
        ssize_t sent = write(sockets[peer], at, bytes);
        if (sent <= 0) exit(3);
        at += sent, bytes -= (size_t)sent;
    }
}

void receive_bytes(int peer, void *data, size_t bytes) {
    char *at = (char *)data;
    while (bytes > 0) {
        ssize_t got = read(sockets[peer], at, bytes);
        if (got <= 0) exit(3);
        at += got, bytes -= (size_t)got;
    }
}

/* uniform from -1 to 1, from a hash of three numbers */
static float noise(uint64_t a, uint64_t b, uint64_t c) {
    return (float)(dtc_seed(a, b, c) >> 40) / 8388608.0f - 1.0f;
}

/* the target of value i of tensor k on worker `rank`; the mean over the workers is what training should find */
static float target(size_t k, size_t i, int rank) {
    return scales[k] * (noise(k, i, 1000) + 0.5f * noise(k, i, (uint64_t)rank));
}

void compute_gradients(trainer *t, uint64_t step) {
    size_t at = 0;
    for (size_t k = 0; k < TENSORS; k++)
        for (size_t i = 0; i < counts[k]; i++, at++)
            gradients[at] =
                parameters[at] - target(k, i, t->rank) + 0.1f * scales[k] * noise((uint64_t)t->rank + 77, step, at);
    if (step == 20 && t->rank == 1) gradients[5] = (float)NAN;
}

/* the squared error of tensor k, as a part of the squared norm of what it should be */
static double error_of(size_t k, size_t at) {
    double error = 0.0, square = 0.0;
    for (size_t i = 0; i < counts[k]; i++) {
        double mean = 0.0;
        for (int rank = 0; rank < WORKERS; rank++) mean += (double)target(k, i, rank) / WORKERS;
        error += pow((double)parameters[at + i] - mean, 2.0);
        square += mean * mean;
    }
    return error / square;
}

/* Trains as worker `rank`, and sends the parameters to `result`. */
static int work(int rank, int result, const char *spec) {
    dtc_tensor own[TENSORS], sums[TENSORS];
    trainer t;
    double sent = 0.0;
    size_t at = 0;
    memset(&t, 0, sizeof t);
    for (size_t k = 0; k < TENSORS; at += counts[k++]) {
        dtc_tensor gradient = {gradients + at, residuals + at, counts[k], rows[k]};
        dtc_tensor parameter = {parameters + at, NULL, counts[k], rows[k]};
        own[k] = gradient, sums[k] = parameter;
    }
    t.rank = rank, t.workers = WORKERS, t.seed = 1;
    t.gradients = own, t.parameters = sums, t.tensors = TENSORS;
    trainer_start(&t, spec);
    train(&t, STEPS);
    sent = (double)t.bytes[rank];
    if (rank == 0) printf("the last message has %.2f bits a value", 8.0 * sent / VALUES);
    at = 0;
    for (size_t k = 0; k < TENSORS; at += counts[k++]) {
        double error = error_of(k, at);
        if (rank == 0) printf(", %.1e", error);
        if (!(error < 0.01)) return 1;
    }
    if (rank == 0) printf("\n");
    fflush(stdout);
    sockets[0] = result;
    send_bytes(0, parameters, sizeof parameters);
    return 0;
}

/* raw:type=bf16 carries what was bf16 exactly */
static int keeps_bf16(void) {
    static unsigned char packet[2100];
    float from[1000], to[1000];
    size_t bytes;
    dtc_spec spec;
    check(dtc_spec_parse("raw:type=bf16", &spec, NULL));
    for (int i = 0; i < 1000; i++) from[i] = float_of_bf16((uint16_t)(31 * i));
    check(dtc_encode(&spec, packet, sizeof packet, &bytes, from, 1000, NULL, 0));
    check(dtc_decode(to, 1000, packet, bytes, NULL, NULL, 0));
    return float_of_bf16(0x3f80) == 1.0f && float_of_bf16(0xc040) == -3.0f && !memcmp(from, to, sizeof from);
}

static void connect_workers(int pairs[WORKERS][WORKERS]) {
    for (int a = 0; a < WORKERS; a++)
        for (int b = 0; b < a; b++) {
            int pair[2];
            if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) exit(2);
            pairs[a][b] = pair[0], pairs[b][a] = pair[1];
        }
}

int main(int argc, char **argv) {
    static float first[VALUES];
    int pairs[WORKERS][WORKERS], results[WORKERS], failed = 0;
    if (argc != 2 || !keeps_bf16()) return 2;
    connect_workers(pairs);
    for (int rank = 0; rank < WORKERS; rank++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 2;
        results[rank] = pair[0];
        pid_t child = fork();
        if (child < 0) return 2;
        if (child == 0) {
            alarm(60);
            for (int peer = 0; peer < WORKERS; peer++) sockets[peer] = pairs[rank][peer];
            exit(work(rank, pair[1], argv[1]));
        }
        close(pair[1]);
    }
    for (int rank = 0; rank < WORKERS; rank++) {
        sockets[rank] = results[rank];
        receive_bytes(rank, rank ? parameters : first, sizeof first);
        if (rank && memcmp(first, parameters, sizeof first)) failed = 1;
    }
    for (int status, n = 0; n < WORKERS; n++) failed |= wait(&status) < 0 || status != 0;
    return failed;
}
