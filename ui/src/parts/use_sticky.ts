// A frame that stays at its end while it grows, until somebody scrolls up.

import { useRef, type RefObject, type UIEvent, type WheelEvent } from "react";

const NEAR_PX = 60;

export interface Sticky {
  readonly sticks: RefObject<boolean>;
  readonly onScroll: (event: UIEvent<HTMLElement>) => void;
  readonly onWheel: (event: WheelEvent<HTMLElement>) => void;
}

export function useSticky(): Sticky {
  const sticks = useRef(true);
  const last = useRef({ top: 0, height: 0 });
  return {
    sticks,
    onScroll: ({ currentTarget: { scrollTop: top, scrollHeight: height, clientHeight } }) => {
      if (height - top - clientHeight < NEAR_PX) sticks.current = true;
      // Rows that turn out to be of another height move the frame, too: that is nobody's wish.
      else if (height === last.current.height && top < last.current.top) sticks.current = false;
      last.current = { top, height };
    },
    onWheel: ({ deltaY }) => {
      if (deltaY < 0) sticks.current = false;
    },
  };
}
