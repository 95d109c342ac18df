/* SPDX-License-Identifier: MIT */
#include "check_main.h"

#include <stdlib.h>

int main(void)
{
    SRunner *runner = srunner_create(check_suite());

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
