// Faults that are to be found, each with a program beside it that looks like it and has none.
//
// faulty.js sync     a middleware, `template`, reads files for each request, and waits for them
// faulty.js loaded   one that has read them before
// faulty.js long     `report` computes for 150 ms at a time
// faulty.js dates    `parse` reads dates
// faulty.js garbage  `collect` keeps objects until they are expensive, and no longer
//
// A server of Express, which asks itself, as fast as it answers.
'use strict';

const fs = require('node:fs');
const express = require('express');
const http = require('node:http');

const what = process.argv[2];
const text = fs.readFileSync(__filename, 'utf8');

function template(request, response, next) {
  response.body = '';
  for (let parts = 0; parts < 10; parts++) {
    response.body += what === 'sync' ? fs.readFileSync(__filename, 'utf8') : text;
  }
  next();
}

function report(request, response, next) {
  if (what === 'long') for (const end = Date.now() + 150; Date.now() < end; );
  next();
}

function parse(request, response, next) {
  if (what === 'dates') for (let i = 0; i < 2e4; i++) Date.parse(`2026-11-30T09:10:${i % 60}`);
  next();
}

let collected = [];

function collect(request, response, next) {
  if (what === 'garbage') {
    collected = collected.slice(-2e4);
    for (let i = 0; i < 1e4; i++) collected.push({ both: [i, i], text: String(i) });
  }
  next();
}

const app = express();
app.use(template, report, parse, collect);
app.get('/', (request, response) => response.end(response.body));
const server = http.createServer(app);

const agent = new http.Agent({ keepAlive: true });

function ask() {
  http.get({ port: server.address().port, agent }, (response) => response.resume().on('end', ask));
}

server.listen(0, '127.0.0.1', () => {
  ask();
  console.log('ready');
});
