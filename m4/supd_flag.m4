dnl SPDX-License-Identifier: MIT
dnl SUPD_CFLAG(VARIABLE, FLAG): appends FLAG to VARIABLE when the compiler takes it without a word.
AC_DEFUN([SUPD_CFLAG], [
    AS_VAR_PUSHDEF([cache], [supd_cv_cflag_$2])
    AC_CACHE_CHECK([whether $CC takes $2], [cache], [
        supd_save_cflags=$CFLAGS
        CFLAGS="$CFLAGS -Werror $2"
        AC_COMPILE_IFELSE([AC_LANG_PROGRAM], [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
        CFLAGS=$supd_save_cflags
    ])
    AS_VAR_IF([cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
    AS_VAR_POPDEF([cache])
])

dnl SUPD_LDFLAG(VARIABLE, FLAG): the same for a flag that matters when linking; one program is linked to find out.
AC_DEFUN([SUPD_LDFLAG], [
    AS_VAR_PUSHDEF([cache], [supd_cv_ldflag_$2])
    AC_CACHE_CHECK([whether $CC links with $2], [cache], [
        supd_save_ldflags=$LDFLAGS
        LDFLAGS="$LDFLAGS -Werror $2"
        AC_LINK_IFELSE([AC_LANG_PROGRAM], [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
        LDFLAGS=$supd_save_ldflags
    ])
    AS_VAR_IF([cache], [yes], [AS_VAR_APPEND([$1], [" $2"])])
    AS_VAR_POPDEF([cache])
])
