// Package bench measures what mudguard costs on real packets and in a real process. It has benchmarks only; they compare
// with a baseline of the same run and print ratios, since absolute times drift (hardening.md 6.4).
package bench
