#include "trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "../log.h"
#include "../memory.h"
#include "../net/cifar.h"
#include "../random.h"
#include "checkpoint.h"
#include "grid.h"

enum { PATH_BYTES = 4096 };

static bool read_images(struct trainer *trainer, bool training, size_t limit, struct error *error) {
    const struct trainer_settings *settings = &trainer->settings;
    struct images *images = training ? &trainer->train : &trainer->test;
    const char *dir = trainer_data_dir(settings);
    if (settings->dataset == DATASET_CIFAR10)
        return cifar_read(images, dir, training, limit, settings->net.classes, error);
    return images_read(images, dir, training ? "train" : "t10k", limit, settings->net.classes, error);
}

bool trainer_load(struct trainer *trainer, const struct option_table *tables, size_t table_count, struct error *error) {
    struct trainer_settings *settings = &trainer->settings;
    const char *dir = trainer_data_dir(settings);
    struct error why;
    if (settings->add_packets && !grid_prepare(&settings->codec, settings->workers, &why))
        return set_error(error, "--add-packets: --codec with %.400s", why.text);
    if (!trainer_check(settings, error) || !read_images(trainer, true, (size_t)settings->limit, error) ||
        !read_images(trainer, false, 0, error))
        return false;
    struct shape sample = {trainer->train.height, trainer->train.width, trainer->train.channels};
    if (trainer->test.height != sample.height || trainer->test.width != sample.width)
        return set_error(error, "%s: images of %zu x %zu in training, but of %zu x %zu in testing", dir, sample.height,
                         sample.width, trainer->test.height, trainer->test.width);
    if (!net_fit(&trainer->net, &settings->net, sample, (enum activation)settings->activation, &why))
        return set_error(error, "--net: %.400s", why.text);
    if (settings->center) {
        images_center(&trainer->test, &trainer->train);
        images_center(&trainer->train, &trainer->train);
    }
    trainer->steps = trainer->train.count / (settings->batch * settings->workers);
    if (trainer->steps == 0)
        return set_error(error, "--batch %llu: %llu workers need %llu samples a step, but there are %zu",
                         (unsigned long long)settings->batch, (unsigned long long)settings->workers,
                         (unsigned long long)(settings->batch * settings->workers), trainer->train.count);
    settings->limit = trainer->train.count; /* a process with other data must not join the run */
    trainer->report_rounds = settings->exchange == EXCHANGE_GRADIENTS ? trainer->steps : 1;
    trainer->report_epochs = settings->every;
    options_settings_text(tables, table_count, trainer->settings_text, sizeof trainer->settings_text);
    return true;
}

void trainer_start(struct trainer *trainer, const dtc_spec *codec, size_t batch) {
    const struct trainer_settings *settings = &trainer->settings;
    net_start(&trainer->net, batch);
    trainer->parameters = net_parameters(&trainer->net, random_bits(settings->seed, SEED_PARAMETERS));
    trainer->velocity = tensors_like(&trainer->parameters);
    trainer->values = tensors_like(&trainer->parameters);
    if (settings->exchange == EXCHANGE_CHANGES) trainer->average = tensors_like(&trainer->parameters);
    trainer->factors = (struct factors *)allocate(trainer->parameters.count, sizeof *trainer->factors);
    trainer->encoder = encoder_create(codec, settings->residual, &trainer->parameters);
    if (settings->add_packets && grid_open(codec))
        trainer->encoder.range = (float *)allocate(trainer->parameters.count, sizeof(float));
    trainer->inputs = (float *)allocate(batch * trainer->train.pixels, sizeof(float));
    trainer->labels = (uint8_t *)allocate(batch, 1);
    trainer->order = (size_t *)allocate(trainer->train.count + trainer->test.count, sizeof(size_t));
    trainer->order_epoch = UINT64_MAX;
}

void trainer_free(struct trainer *trainer) {
    images_free(&trainer->train);
    images_free(&trainer->test);
    net_free(&trainer->net);
    tensors_free(&trainer->parameters);
    tensors_free(&trainer->velocity);
    tensors_free(&trainer->values);
    tensors_free(&trainer->average);
    free(trainer->factors);
    encoder_free(&trainer->encoder);
    free(trainer->decoder.scratch);
    adder_free(&trainer->adder);
    free(trainer->inputs);
    free(trainer->labels);
    free(trainer->order);
    memset(trainer, 0, sizeof *trainer);
}

/* Computes the gradient of one batch into trainer->values. Each epoch has an order of the samples, and the workers take
 * the batches of each step in turn from that order. */
static void compute_gradient(struct trainer *trainer, uint64_t epoch, uint64_t step) {
    const struct trainer_settings *settings = &trainer->settings;
    size_t batch = (size_t)settings->batch;
    if (epoch != trainer->order_epoch) {
        uint64_t key = random_bits(settings->seed, SEED_SHUFFLE);
        random_permutation(trainer->order, trainer->train.count, random_bits(key, epoch));
        trainer->order_epoch = epoch;
    }
    const size_t *samples = trainer->order + (step * settings->workers + trainer->id - 1) * batch;
    struct augmentation augmentation = {(size_t)settings->shift, settings->flip,
                                        random_bits(random_bits(settings->seed, SEED_AUGMENTATION), epoch)};
    if (settings->shift || settings->flip)
        images_augment(&trainer->train, &augmentation, samples, batch, trainer->inputs, trainer->labels);
    else
        images_batch(&trainer->train, samples, batch, trainer->inputs, trainer->labels);
    double loss =
        net_gradient(&trainer->net, &trainer->parameters, trainer->inputs, trainer->labels, batch, &trainer->values);
    /* an activation of -infinity becomes 0, so that the loss can be finite where the gradient is not */
    bool finite = isfinite(loss) && tensors_finite(&trainer->values);
    if (!finite && !trainer->infinite_step) trainer->infinite_step = epoch * trainer->steps + step + 1;
    if (!finite) trainer->infinite_steps++;
    trainer->loss_sum += loss;
    trainer->loss_steps++;
}

/* Takes one step of SGD by the gradient in trainer->values. */
static void take_step(struct trainer *trainer, uint64_t epoch) {
    double rate = trainer->settings.rate;
    for (uint64_t e = 0; e < epoch; e++) /* pow() may differ between machines, and replicas must not */
        rate *= trainer->settings.rate_decay;
    sgd_step(&trainer->parameters, &trainer->velocity, &trainer->values, (float)rate,
             (float)trainer->settings.momentum);
    if (trainer->settings.l1 > 0.0)
        sgd_shrink(&trainer->parameters, (float)(rate * trainer->settings.l1 / (1.0 - trainer->settings.momentum)));
}

void trainer_compute(struct trainer *trainer, uint64_t round) {
    uint64_t every = trainer->settings.every, steps = trainer->steps;
    double start = clock_seconds();
    if (trainer->settings.exchange == EXCHANGE_GRADIENTS) {
        compute_gradient(trainer, round / steps, round % steps);
    } else {
        bool changes = trainer->settings.exchange == EXCHANGE_CHANGES;
        if (changes) tensors_copy(&trainer->average, &trainer->parameters);
        for (uint64_t i = round * every * steps; i < (round + 1) * every * steps; i++) {
            compute_gradient(trainer, i / steps, i % steps);
            take_step(trainer, i / steps);
        }
        tensors_copy(&trainer->values, &trainer->parameters);
        if (changes) {
            tensors_add(&trainer->values, -1.0f, &trainer->average);
            tensors_copy(&trainer->parameters, &trainer->average);
        }
    }
    trainer->meter.compute_s += clock_seconds() - start;
}

uint64_t trainer_seed(const struct trainer *trainer, uint64_t round) {
    uint64_t key = random_bits(random_bits(trainer->settings.seed, SEED_CODEC), round);
    uint64_t shared = random_bits(key, 0), own = random_bits(key, trainer->id);
    return trainer->settings.add_packets ? grid_seed(&trainer->settings.codec, shared, own) : own;
}

bool trainer_encode(struct trainer *trainer, uint64_t round, struct error *error) {
    double start = clock_seconds();
    /* only a gradient that this net computed has factors: the server's mean has none */
    bool gradient = trainer->id && trainer->settings.exchange == EXCHANGE_GRADIENTS;
    for (size_t i = 0; i < trainer->values.count && gradient; i++) trainer->factors[i] = net_factors(&trainer->net, i);
    bool good = encoder_encode(&trainer->encoder, &trainer->values, gradient ? trainer->factors : NULL,
                               trainer_seed(trainer, round), error);
    trainer->meter.encode_s += clock_seconds() - start;
    return good;
}

void trainer_step(struct trainer *trainer, uint64_t round) {
    double start = clock_seconds();
    if (!tensors_finite(&trainer->values))
        say(trainer->id, "round %llu is skipped: the update is not finite", (unsigned long long)round);
    else if (trainer->settings.exchange == EXCHANGE_GRADIENTS)
        take_step(trainer, round / trainer->steps);
    else if (trainer->settings.exchange == EXCHANGE_CHANGES)
        tensors_add(&trainer->parameters, 1.0f, &trainer->values);
    else
        tensors_copy(&trainer->parameters, &trainer->values);
    trainer->meter.compute_s += clock_seconds() - start;
}

bool trainer_apply(struct trainer *trainer, uint64_t round, const uint8_t *update, size_t bytes, struct error *error) {
    if (bytes == 0) return true;
    double start = clock_seconds();
    tensors_clear(&trainer->values);
    bool good = decoder_add(&trainer->decoder, &trainer->values, 1.0f, update, bytes, error);
    trainer->meter.decode_s += clock_seconds() - start;
    if (good) trainer_step(trainer, round);
    return good;
}

bool trainer_rounds(const struct trainer *trainer, uint64_t done, uint64_t *rounds, struct error *error) {
    const struct trainer_settings *settings = &trainer->settings;
    *rounds = settings->epochs / trainer->report_epochs * trainer->report_rounds;
    if (settings->epochs % trainer->report_epochs)
        return set_error(error, "--epochs %llu: not a multiple of --every %llu", (unsigned long long)settings->epochs,
                         (unsigned long long)settings->every);
    if (done >= *rounds)
        return set_error(error, "--epochs %llu: the checkpoint has done as many already",
                         (unsigned long long)settings->epochs);
    return true;
}

static void file_of(const struct trainer *trainer, const char *file, char path[PATH_BYTES]) {
    snprintf(path, PATH_BYTES, trainer->id ? "%s.worker%zu" : "%s", file, trainer->id);
}

bool trainer_save(const struct trainer *trainer, bool parameters, uint64_t rounds, struct error *error) {
    const struct tensors *sets[] = {&trainer->parameters, &trainer->velocity, &trainer->encoder.residual};
    char path[PATH_BYTES];
    if (!trainer->settings.save) return true;
    file_of(trainer, trainer->settings.save, path);
    if (!parameters) {
        char before[PATH_BYTES + 8];
        snprintf(before, sizeof before, "%s.before", path);
        rename(path, before); /* there is none yet at the first report */
    }
    return checkpoint_write(path, trainer->settings_text, rounds, sets + !parameters, 2 + (size_t)parameters, error);
}

bool trainer_resume(struct trainer *trainer, bool parameters, uint64_t *rounds, struct error *error) {
    struct tensors *sets[] = {&trainer->parameters, &trainer->velocity, &trainer->encoder.residual};
    char path[PATH_BYTES];
    if (!trainer->settings.resume) return true;
    file_of(trainer, trainer->settings.resume, path);
    return checkpoint_read(path, trainer->settings_text, rounds, sets + !parameters, 2 + (size_t)parameters, error);
}

bool trainer_resume_at(struct trainer *trainer, uint64_t round, struct error *error) {
    struct tensors *sets[] = {&trainer->velocity, &trainer->encoder.residual};
    char path[PATH_BYTES], before[PATH_BYTES + 8];
    struct error none;
    uint64_t saved, earlier;
    if (!trainer->settings.resume) return true;
    file_of(trainer, trainer->settings.resume, path);
    snprintf(before, sizeof before, "%s.before", path);
    bool good = checkpoint_read(path, trainer->settings_text, &saved, sets, 2, error);
    if (good && saved == round) return true;
    if (checkpoint_read(before, trainer->settings_text, &earlier, sets, 2, &none) && earlier == round) return true;
    if (good)
        set_error(error, "checkpoint %.400s: its round is %llu, but the server is in round %llu: leave --resume out",
                  path, (unsigned long long)saved, (unsigned long long)round);
    return false;
}

struct meter trainer_take_meter(struct trainer *trainer) {
    struct meter meter = trainer->meter;
    meter.loss = trainer->loss_steps ? trainer->loss_sum / (double)trainer->loss_steps : 0.0;
    if (!trainer->infinite_steps) trainer->infinite_step = 0;
    meter.diverged = trainer->infinite_step;
    memset(&trainer->meter, 0, sizeof trainer->meter);
    trainer->loss_sum = 0.0;
    trainer->loss_steps = trainer->infinite_steps = 0;
    trainer->reported = meter;
    return meter;
}

bool trainer_sound(struct trainer *trainer, const struct meter *meter, struct error *error) {
    trainer->diverged = meter->diverged != 0;
    if (!trainer->diverged) return true;
    uint64_t step = meter->diverged - 1;
    return set_error(error,
                     "the training diverged: the loss or its gradient is not finite since epoch %llu, step %llu of "
                     "%llu: lower --lr, or compress less (--codec)",
                     (unsigned long long)(step / trainer->steps + 1), (unsigned long long)(step % trainer->steps + 1),
                     (unsigned long long)trainer->steps);
}

double trainer_accuracy(struct trainer *trainer) {
    double start = clock_seconds();
    size_t correct = 0, batch = trainer->net.batch, count;
    for (size_t i = 0; i < trainer->test.count; i++) trainer->order[i] = i;
    trainer->order_epoch = UINT64_MAX;
    for (size_t first = 0; first < trainer->test.count; first += count) {
        count = trainer->test.count - first < batch ? trainer->test.count - first : batch;
        images_batch(&trainer->test, trainer->order + first, count, trainer->inputs, trainer->labels);
        correct += net_correct(&trainer->net, &trainer->parameters, trainer->inputs, trainer->labels, count);
    }
    trainer->meter.compute_s += clock_seconds() - start;
    return (double)correct / (double)trainer->test.count;
}

bool trainer_end(struct trainer *trainer, struct metrics *metrics, double accuracy, struct error *error) {
    const struct tensors *parameters = &trainer->parameters;
    if (!metrics_close(metrics, parameters->values, accuracy, error)) return false;
    printf("%zu parameters, of CRC-32 %08x in every replica\n", parameters->values, tensors_crc(parameters));
    return trainer_sound(trainer, &metrics->workers, error);
}
