//go:build race

package entfast_test

const raced = true
