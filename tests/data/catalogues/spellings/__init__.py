raise SystemExit("never read")
