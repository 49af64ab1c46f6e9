// Whether this browser is a wall display: then it is paired, nobody signs in on it.

const STORED = "andon.screen";

export function rememberScreen(): void {
  try {
    localStorage.setItem(STORED, "1");
  } catch {
    // then it asks to sign in once its token is revoked
  }
}

export function isScreen(): boolean {
  try {
    return localStorage.getItem(STORED) === "1";
  } catch {
    return false;
  }
}
