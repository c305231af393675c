// Package failpoint marks the steps at which tests make the program fail.
//
// In a binary that is built with the tag failpoints, the environment says what happens at which
// hit of which step: REJOT_FP="deliver.before=kill@3" kills the process with SIGKILL at the third hit,
// "=error@1" makes Hit return an error once. Several are separated by semicolons. In any other
// binary Hit is nothing. Source and Applier fail calls of the stages' doors before or after their success.
package failpoint
