// Package bench measures what mudguard costs on real packets and in a real process: the rows P1 to P9 and R1 to R3 of
// docs/benchmarks.md, in one run, beside the ways that others do the same. Absolute times drift and ratios hold, so all is
// compared with what was measured in the same run (hardening.md 6.4).
package bench
