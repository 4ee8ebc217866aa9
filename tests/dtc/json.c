/* json: succeeds if standard input is one JSON text and nothing else. */
#include <cjson/cJSON.h>
#include <stdio.h>

int main(void) {
    static char text[1 << 20];
    const char *rest;
    text[fread(text, 1, sizeof text - 1, stdin)] = 0;
    cJSON *root = cJSON_ParseWithOpts(text, &rest, 1);
    if (!root) fprintf(stderr, "no JSON at: %.40s\n", rest);
    cJSON_Delete(root);
    return root == NULL;
}
