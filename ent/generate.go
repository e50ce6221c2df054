// Package ent is the typed client of the auth graph, generated from ent/schema.
package ent

//go:generate go run ../internal/entgen
