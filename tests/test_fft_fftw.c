/* Circulant layers on another library: FFTW under the hooks. */
#include <stddef.h>

#include <fftw3.h>

typedef struct fftw_plans {
    fftwf_plan forward, inverse;
} fftw_plans;

static int fftw_open(void *plan, size_t size) {
    fftw_plans *plans = (fftw_plans *)plan;
    float *values = fftwf_alloc_real(size);
    fftwf_complex *spectrum = fftwf_alloc_complex(size / 2 + 1);
    plans->forward = fftwf_plan_dft_r2c_1d((int)size, values, spectrum, FFTW_ESTIMATE);
    plans->inverse = fftwf_plan_dft_c2r_1d((int)size, spectrum, values, FFTW_ESTIMATE);
    fftwf_free(values);
    fftwf_free(spectrum);
    return plans->forward && plans->inverse;
}

static void fftw_close(void *plan) {
    fftwf_destroy_plan(((fftw_plans *)plan)->forward);
    fftwf_destroy_plan(((fftw_plans *)plan)->inverse);
}

/* FFTW's type for the input of an r2c transform, which it leaves as it is, is not const. */
static void fftw_forward(void *plan, float *spectrum, const float *values) {
    fftwf_execute_dft_r2c(((fftw_plans *)plan)->forward, (float *)(size_t)values, (fftwf_complex *)spectrum);
}

static void fftw_inverse(void *plan, float *values, float *spectrum) {
    fftwf_execute_dft_c2r(((fftw_plans *)plan)->inverse, (fftwf_complex *)spectrum, values);
}

#define DTCODEC_FFT_PLAN_BYTES(size)             sizeof(fftw_plans)
#define DTCODEC_FFT_PLAN_OPEN(plan, bytes, size) ((void)(bytes), fftw_open(plan, size))
#define DTCODEC_FFT_PLAN_CLOSE(plan)             fftw_close(plan)
#define DTCODEC_FFT_FORWARD(plan, to, values)    fftw_forward(plan, to, values)
#define DTCODEC_FFT_INVERSE(plan, values, from)  fftw_inverse(plan, values, from)

#define TRANSFORM "FFTW"
#include "layers.h"

int main(void) {
    return layer_tests();
}
