/* Runs a target on files, without libFuzzer: replay FILE... */

#include "fuzz.h"

int main(int argc, char **argv) {
    int i;
    for (i = 1; i < argc; i++) {
        static uint8_t data[1 << 20];
        FILE *file = fopen(argv[i], "rb");
        size_t size;
        uint8_t *exact;
        if (!file) {
            perror(argv[i]);
            return 1;
        }
        fprintf(stderr, "%s\n", argv[i]);
        size = fread(data, 1, sizeof data, file);
        fclose(file);
        exact = (uint8_t *)malloc(size ? size : 1);
        if (!exact) return 1;
        memcpy(exact, data, size);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    printf("%d inputs\n", argc - 1);
    return argc < 2;
}
