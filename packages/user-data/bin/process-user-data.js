#!/usr/bin/env node
import '../dist/guest/bin.js';
