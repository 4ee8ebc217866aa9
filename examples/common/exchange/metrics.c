#include "metrics.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../bytes.h"
#include "../clock.h"

void meter_put(uint8_t bytes[METER_BYTES], const struct meter *meter) {
    put_u64(bytes, meter->values);
    put_u64(bytes + 8, meter->bytes_up);
    put_u64(bytes + 16, meter->bytes_down);
    put_f64(bytes + 24, meter->compute_s);
    put_f64(bytes + 32, meter->encode_s);
    put_f64(bytes + 40, meter->transfer_s);
    put_f64(bytes + 48, meter->decode_s);
    put_f64(bytes + 56, meter->loss);
    put_u64(bytes + 64, meter->diverged);
}

struct meter meter_get(const uint8_t bytes[METER_BYTES]) {
    struct meter meter;
    meter.values = get_u64(bytes);
    meter.bytes_up = get_u64(bytes + 8);
    meter.bytes_down = get_u64(bytes + 16);
    meter.compute_s = get_f64(bytes + 24);
    meter.encode_s = get_f64(bytes + 32);
    meter.transfer_s = get_f64(bytes + 40);
    meter.decode_s = get_f64(bytes + 48);
    meter.loss = get_f64(bytes + 56);
    meter.diverged = get_u64(bytes + 64);
    return meter;
}

static void add_meter(struct meter *sum, const struct meter *meter) {
    sum->values += meter->values;
    sum->bytes_up += meter->bytes_up;
    sum->bytes_down += meter->bytes_down;
    sum->compute_s += meter->compute_s;
    sum->encode_s += meter->encode_s;
    sum->transfer_s += meter->transfer_s;
    sum->decode_s += meter->decode_s;
    sum->loss += meter->loss;
    if (meter->diverged && (!sum->diverged || meter->diverged < sum->diverged)) sum->diverged = meter->diverged;
}

static double bits_per_value(uint64_t bytes, uint64_t values) {
    return values ? 8.0 * (double)bytes / (double)values : 0.0;
}

bool metrics_open(struct metrics *metrics, const char *csv_path, bool append, const dtc_spec *codec,
                  const dtc_spec *down_codec, struct error *error) {
    memset(metrics, 0, sizeof *metrics);
    dtc_spec_format(codec, metrics->codec, sizeof metrics->codec);
    dtc_spec_format(down_codec, metrics->down_codec, sizeof metrics->down_codec);
    metrics->terminal = isatty(STDOUT_FILENO);
    metrics->started = metrics->epoch_started = clock_seconds();
    if (!csv_path) return true;
    metrics->csv = fopen(csv_path, append ? "a" : "w");
    if (!metrics->csv) return set_error(error, "--metrics %s: cannot be written: %s", csv_path, strerror(errno));
    fseek(metrics->csv, 0, SEEK_END);
    if (ftell(metrics->csv) == 0)
        fprintf(metrics->csv, "epoch,worker,codec,values,bytes_up,bytes_down,"
                              "compute_s,encode_s,transfer_s,decode_s,loss,accuracy\n");
    return true;
}

void metrics_progress(const struct metrics *metrics, uint64_t rounds_done, uint64_t rounds) {
    if (!metrics->terminal) return;
    printf("\rround %llu of %llu ", (unsigned long long)rounds_done, (unsigned long long)rounds);
    fflush(stdout);
}

static void write_row(const struct metrics *metrics, uint64_t epoch, const char *worker, const struct meter *meter,
                      double accuracy) {
    fprintf(metrics->csv, "%llu,%s,\"%s\",%llu,%llu,%llu,%.6f,%.6f,%.6f,%.6f,%.6f,%.6f\n", (unsigned long long)epoch,
            worker, metrics->codec, (unsigned long long)meter->values, (unsigned long long)meter->bytes_up,
            (unsigned long long)meter->bytes_down, meter->compute_s, meter->encode_s, meter->transfer_s,
            meter->decode_s, meter->loss, accuracy);
}

void metrics_epoch(struct metrics *metrics, uint64_t epoch, uint64_t epochs, const struct meter *meter,
                   const size_t *worker, size_t workers, const struct meter *server, double accuracy) {
    struct meter sum;
    memset(&sum, 0, sizeof sum);
    for (size_t i = 0; i < workers; i++) add_meter(&sum, &meter[i]);
    sum.loss /= workers ? (double)workers : 1.0;
    if (metrics->csv) {
        char name[32];
        for (size_t i = 0; i < workers; i++) {
            snprintf(name, sizeof name, "%zu", worker ? worker[i] : i + 1);
            write_row(metrics, epoch, name, &meter[i], accuracy);
        }
        if (server) {
            struct meter row = *server;
            row.loss = sum.loss;
            write_row(metrics, epoch, "server", &row, accuracy);
        }
        fflush(metrics->csv);
    }
    add_meter(&metrics->workers, &sum);
    if (server) add_meter(&metrics->server, server);
    metrics->has_server = server != NULL;
    metrics->workers.loss = sum.loss;
    metrics->workers.diverged = sum.diverged;
    metrics->worker_epochs += workers;
    metrics->epochs++;

    double now = clock_seconds();
    printf("%sepoch %llu/%llu  loss %.4f  accuracy %.2f %%  bits a value %.2f up, %.2f down  %.1f s\n",
           metrics->terminal ? "\r" : "", (unsigned long long)epoch, (unsigned long long)epochs, sum.loss,
           100.0 * accuracy, bits_per_value(sum.bytes_up, sum.values), bits_per_value(sum.bytes_down, sum.values),
           now - metrics->epoch_started);
    fflush(stdout);
    metrics->epoch_started = now;
}

static void print_direction(const char *label, const char *codec, uint64_t bytes, uint64_t values,
                            size_t message_values) {
    double bits = bits_per_value(bytes, values);
    printf("%-10s %s: %.2f bits a value, 1/%.1f of fp32; %.0f bytes a message\n", label, codec, bits,
           bits > 0.0 ? 32.0 / bits : 0.0, bits / 8.0 * (double)message_values);
}

static void print_seconds(const char *label, const struct meter *meter, double share) {
    printf("%-10s %9.2f %9.2f %9.2f %9.2f\n", label, share * meter->compute_s, share * meter->encode_s,
           share * meter->transfer_s, share * meter->decode_s);
}

bool metrics_close(struct metrics *metrics, size_t values, double accuracy, struct error *error) {
    const struct meter *workers = &metrics->workers;
    double mean = metrics->worker_epochs ? (double)metrics->epochs / (double)metrics->worker_epochs : 0.0;
    printf("\n");
    print_direction("up", metrics->codec, workers->bytes_up, workers->values, values);
    print_direction("down", metrics->down_codec, workers->bytes_down, workers->values, values);
    printf("accuracy   %.2f %% on the test images; loss %.4f in training\n", 100.0 * accuracy, workers->loss);
    printf("seconds      compute    encode  transfer    decode   (%.1f in all; transfer includes waiting)\n",
           clock_seconds() - metrics->started);
    print_seconds("a worker", workers, mean);
    if (metrics->has_server) print_seconds("server", &metrics->server, 1.0);
    if (metrics->csv && (ferror(metrics->csv) | fclose(metrics->csv)))
        return set_error(error, "--metrics: the file could not be written in full: is the disk full?");
    return true;
}
