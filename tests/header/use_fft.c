/* One of several files that use the header: NAME is the function it defines, main in one of them. */
#include "dtcodec_fft.h"
#include "dtcodec_fft.h"

int NAME(void);

/* The identity, as a circulant matrix of 30 x 30. */
int NAME(void) {
    static unsigned char memory[1 << 16];
    const float vector[30] = {1};
    float inputs[30], outputs[30];
    dtc_circulant_layer *layer;
    int i, wrong = 0;
    if (dtc_circulant_layer_open(&layer, memory, sizeof memory, 30, 30, 0, 1) != DTC_OK) return 1;
    for (i = 0; i < 30; i++) inputs[i] = (float)(i * i % 7);
    wrong += dtc_circulant_layer_load(layer, vector) != DTC_OK;
    wrong += dtc_circulant_forward(layer, outputs, inputs, 1) != DTC_OK;
    for (i = 0; i < 30; i++) wrong += !(outputs[i] - inputs[i] < 1e-5f && inputs[i] - outputs[i] < 1e-5f);
    return wrong != 0;
}
