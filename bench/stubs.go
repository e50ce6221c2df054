package main

import "context"

func growth(context.Context, *settings) error     { return nil }
func migrations(context.Context, *settings) error { return nil }
