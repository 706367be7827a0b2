// The words of a name or a query as the search compares them.

/** Words of a text that count, and letters of a word: a name has fewer, and a query with more is no better. */
const wordsMax = 200;
const wordLengthMax = 40;

/** Lower case, without accents and ligatures: "Čapek’s Ｒ.U.R." and "capeks r.u.r." are the same. */
export function foldWord(text: string): string {
  return text
    .normalize("NFKD")
    .replaceAll(/[\p{Mark}'’]/gu, "")
    .toLowerCase()
    .replaceAll("ß", "ss")
    .replaceAll("ø", "o")
    .replaceAll("ł", "l")
    .replaceAll("æ", "ae")
    .replaceAll("œ", "oe");
}

/**
 * Letters and digits between everything else. Han, Kana and Hangul, which are written without spaces or with endings, are cut into
 * overlapping pairs, so that any two neighbours are found.
 */
export function wordsOf(text: string): string[] {
  const words: string[] = [];
  for (const [word] of foldWord(text).matchAll(/[\p{Letter}\p{Number}]+/gu)) {
    if (words.length >= wordsMax) break;
    if (/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u.test(word)) words.push(...pairsOf(word));
    else words.push(word.slice(0, wordLengthMax));
  }
  return words.slice(0, wordsMax);
}

function pairsOf(word: string): string[] {
  const letters = [...word];
  if (letters.length < 2) return letters;
  return letters.slice(0, -1).map((letter, at) => letter + letters[at + 1]!);
}
