/* SPDX-License-Identifier: MIT */
/* nothing: a program that does nothing, linked as programs are; what a client that asks a supervisor could cost at least. */

int main(void)
{
    return 0;
}
