// `millrace bench players`: simulated viewers with real sockets.
import { Command, InvalidArgumentError, Option } from "commander";
import { ruleNames } from "../../bench/players/rule-names.js";
import type { PlayersOptions } from "./watch-with-players.js";

const examples = `
Without --trace the lines are those of bench/players/traces.
The exit code is 0 when every player saw all, 1 when one gave up.

Examples:
  millrace bench players --url http://127.0.0.1:8080/film/master.m3u8 --count 100
  millrace bench players --url http://edge-1/film/master.m3u8 --url http://edge-2/film/master.m3u8 --count 500 --speed 4
  millrace bench players --url http://cache/big.bin --ladder 800k,2M,5M --trace lte.txt --rule throughput --json`;

/** `millrace bench players`. */
export function benchPlayersCommand(): Command {
  return new Command("players")
    .summary("let simulated players watch, and tell what they saw")
    .description("Let simulated players watch: start-up time, stalls, bitrate and switches, over real sockets and recorded lines.")
    .requiredOption("--url <url...>", "HLS playlist, or any file with --ladder; further URLs are turned to when one fails", collect)
    .option("--count <n>", "how many players", whole(1, 100_000), 100)
    .addOption(new Option("--rule <name>", "how a player chooses the bitrate").choices(ruleNames).default("bola"))
    .option("--trace <file...>", 'lines, as files of "seconds Mbps"; players take them in turn')
    .option("--ladder <rungs>", "bitrates instead of a playlist, of ranges of the URL's file or of others: 800k,2M or 800k=a.mp4,2M=b.mp4")
    .option("--segment <time>", "with --ladder: length of a segment", "4s")
    .option("--watch <time>", "what each viewer watches at most, of the film's time", "5m")
    .option("--arrive <time>", "players come evenly over this time, of the playback's", "10s")
    .option("--buffer <time>", "most media that a player holds", "25s")
    .option("--start-buffer <time>", "media that must be there before the first picture and after a stall", "2s")
    .option("--speed <n>", "how much faster than real time lines and playback run", positive, 1)
    .option("--timeout <time>", "a server that sends nothing for so long, of real time, has failed", "10s")
    .option("--workers <n>", "threads that share the players", whole(1, 64), 1)
    .option("--seed <n>", "where in its line each player begins", whole(0, 2 ** 32 - 1), 1)
    .option("--insecure", "accept any certificate")
    .option("--ca <file>", "certificates to trust, PEM")
    .option("--json", "print the result as JSON")
    .option("--out <file>", "also write the JSON to a file")
    .option("--html <file>", "also write a page with charts")
    .addHelpText("after", examples)
    .action(async (options: PlayersOptions) => {
      const { watchWithPlayers } = await import("./watch-with-players.js");
      await watchWithPlayers(options);
    });
}

function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0) || value > 1000) throw new InvalidArgumentError("expected a number above 0, at most 1000");
  return value;
}

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}`);
    }
    return value;
  };
}
